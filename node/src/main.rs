//! The `causeway-node` binary: one agency's node.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use causeway_node::cli::{self, Args};
use clap::Parser;

fn main() -> ExitCode {
    let args = Args::parse();
    match cli::run(&args, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When even that cannot be written, the exit code still says it.
            let _ = writeln!(io::stderr(), "causeway-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}
