//! The command line of `town`.

use std::{io::Write, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::{
    link::{self, LinkReport},
    town::process::Launcher,
};

/// Tries Causeway on one machine: real nodes and a real coordinator, each a process of its own,
/// over mutual TLS on the loopback interface.
#[derive(Debug, Parser)]
#[command(name = "town", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Link records whose truth is known, and measure how well it went
    #[command(after_help = "\
The folder holds one CSV file per agency with these columns, any of which may be empty or missing:
local_id,truth_id,title,forename,middle,surname,alias,dob,sex,address,house,street,town,postcode,
uprn,nhs,upn,nino,other_id,phone,email
`truth_id` says who a record's person is. It is for measuring and never reaches a node.

Example: town link data/febrl4 --json")]
    Link {
        /// The folder
        folder: PathBuf,
        /// Write every candidate pair to this CSV file: truth, match-keys, levels, weight
        #[arg(long, value_name = "FILE")]
        pairs: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run this program as a node
    #[command(hide = true)]
    Node(causeway_node::cli::Args),
    /// Run this program as a coordinator
    #[command(hide = true)]
    Coordinator(causeway_coordinator::cli::Args),
}

/// Does what the arguments ask for.
pub fn run(args: &Args, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    match &args.command {
        Command::Link { folder, pairs, json } => {
            let scratch = tempfile::tempdir()?;
            let report = link::link(folder, scratch.path(), pairs.as_deref(), Launcher::this()?)?;
            if *json {
                return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?);
            }
            print_link(&report, out)
        }
        Command::Node(args) => causeway_node::cli::run(args, out),
        Command::Coordinator(args) => causeway_coordinator::cli::run(args, out),
    }
}

fn print_link(report: &LinkReport, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let LinkReport { records, agencies, persons, ambiguous, .. } = report;
    writeln!(out, "{records} records of {agencies} agencies are {persons} persons")?;
    writeln!(out, "{} pairs were candidates, {} link", report.candidate_pairs, report.links)?;
    writeln!(out, "{ambiguous} records have two candidates that cannot be told apart")?;
    for (name, quality) in [("links", report.pairwise), ("persons", report.cluster)] {
        let (precision, recall, f1) = (quality.precision, quality.recall, quality.f1);
        writeln!(out, "{name:8} precision {precision:.4}  recall {recall:.4}  F1 {f1:.4}")?;
    }
    for (step, seconds) in &report.seconds {
        writeln!(out, "{step:8} {seconds:8.2} s")?;
    }
    for (who, mib) in &report.peak_rss_mib {
        writeln!(out, "{who:12} {mib} MiB at most")?;
    }
    Ok(())
}
