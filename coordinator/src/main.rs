//! The `causeway-coordinator` binary: links, scores and routes across agencies' nodes.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use causeway_coordinator::cli::{self, Args};
use clap::Parser;

fn main() -> ExitCode {
    let args = Args::parse();
    match cli::run(&args, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When even that cannot be written, the exit code still says it.
            let _ = writeln!(io::stderr(), "causeway-coordinator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
