//! The `town` binary: whole federations on one machine.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use causeway_tests::cli::{self, Args};
use clap::Parser;

fn main() -> ExitCode {
    let args = Args::parse();
    match cli::run(&args, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When even that cannot be written, the exit code still says it.
            let _ = writeln!(io::stderr(), "town: {error:#}");
            ExitCode::FAILURE
        }
    }
}
