//! The `causeway-certs` binary: everything that whoever runs the CA does.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use causeway_certs::cli::{self, Args};
use clap::Parser;
use time::OffsetDateTime;

fn main() -> ExitCode {
    let args = Args::parse();
    match cli::run(&args, OffsetDateTime::now_utc(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When even that cannot be written, the exit code still says it.
            let _ = writeln!(io::stderr(), "causeway-certs: {error:#}");
            ExitCode::FAILURE
        }
    }
}
