//! The command line of `town`.

use std::{fs, io::Write, path::PathBuf};

use anyhow::Context;
use causeway_coordinator::cycle::waterfall;
use causeway_proto::day::Day;
use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::{
    attack, bench,
    demo::{self, Place},
    interrupt::{self, Scratch},
    link::{self, Details, LinkReport, RecordName},
    town::process::Launcher,
    year,
};

/// Tries Causeway on one machine: real nodes and a real coordinator, each a process of its own,
/// over mutual TLS on the loopback interface.
#[derive(Debug, Parser)]
#[command(
    name = "town",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command, `town` gives the demonstration."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: Demo,
}

#[derive(Debug, ClapArgs)]
struct Demo {
    #[command(flatten)]
    people: Population,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Population {
    /// The day it speaks of: the planted households' stories run through 2025
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2025-02-25")]
    as_at: Day,
    /// Which background people; the same number gives the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// About how many background people each agency holds
    #[arg(long, default_value_t = 2000)]
    people: usize,
}

impl Population {
    fn settings(&self) -> demo::Settings {
        demo::Settings { as_at: self.as_at, seed: self.seed, people: self.people }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a town with planted households among background people, sweep it once, and say who is
    /// alerted and why
    #[command(after_help = "\
Nine agencies' nodes and one coordinator, each a process of its own, over mutual TLS. Everybody is
invented. Days to try: 2025-02-25, 2025-08-25, 2025-09-23.")]
    Demo(Demo),
    /// Let the town live through a year, a day at a time, and say who was alerted when and why
    ///
    /// Every day the agencies whose systems changed write their exports, their nodes take them in,
    /// and the coordinator sweeps as at that day: also a day on which nothing happened, since scores
    /// move with time alone. Nodes and coordinator go on from the first day to the last.
    #[command(after_help = "\
Ends with alerts by week, how many were repeats, precision against what is planted, and how many days
the first alert came before the planted crisis.

Example: town year --from 2025-02-20 --to 2025-03-15 --people 100")]
    Year {
        /// The first day
        #[arg(long, value_name = "YYYY-MM-DD", default_value = "2025-01-01")]
        from: Day,
        /// The last day
        #[arg(long, value_name = "YYYY-MM-DD", default_value = "2025-12-31")]
        to: Day,
        /// Which background people; the same number gives the same ones
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// About how many background people each agency holds
        #[arg(long, default_value_t = 300)]
        people: usize,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the same town and leave it running, to try the agents' own commands on it
    #[command(after_help = "\
Example: town up --dir /tmp/town")]
    Up {
        /// An empty folder for everything that the town writes, if not a new temporary one
        #[arg(long)]
        dir: Option<PathBuf>,
        #[command(flatten)]
        people: Population,
    },
    /// Link records whose truth is known, and measure how well it went
    #[command(after_help = "\
The folder holds one CSV file per agency with the columns local_id and truth_id, and any of these:
title,forename,middle,surname,alias,dob,sex,address,house,street,town,postcode,
uprn,nhs,upn,nino,other_id,phone,email. Other columns are left out, and named. Dates are written 1987-04-06.
`local_id` is the record's number at its agency, and `truth_id` says who its person is. The truth is for
measuring and never reaches a node; a record without one is nobody else's.

Examples:
  town link data/febrl4 --json
  town link data/febrl4 --explain a:17 b:17 --svg evidence.svg")]
    Link {
        /// The folder
        folder: PathBuf,
        /// Write every candidate pair to this CSV file: truth, match-keys, levels, weight
        #[arg(long, value_name = "FILE")]
        pairs: Option<PathBuf>,
        /// Write every record to this CSV file: truth, its node's person, final person
        #[arg(long, value_name = "FILE")]
        persons: Option<PathBuf>,
        /// Say what became of these two records, and why: bits of match weight, field by field
        ///
        /// A record is named by its file, without `.csv`, and its `local_id`.
        #[arg(long, num_args = 2, value_names = ["FILE:LOCAL_ID", "FILE:LOCAL_ID"])]
        explain: Vec<RecordName>,
        /// Draw that evidence into this file
        #[arg(long, value_name = "FILE", requires = "explain")]
        svg: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Measure how fast a federation of a size is on this machine
    ///
    /// Writes exports, takes them in at nodes of their own, makes a full pass over them, and changes one
    /// percent of the people while a sweep is open. Of several sizes, a power is fitted to how the cost grows.
    #[command(after_help = "\
Needs about 1.2 GB of disk for a million records in $TMPDIR.

Example: town bench --agencies 5 --people 100000,200000,1000000")]
    Bench {
        /// How many agencies, two at least
        #[arg(long, default_value_t = 5, value_parser = two_or_more)]
        agencies: usize,
        /// How many people each of them knows; several sizes are measured one after another
        #[arg(
            long,
            value_delimiter = ',',
            default_values_t = [100_000],
            value_parser = clap::value_parser!(u64).range(10..)
        )]
        people: Vec<u64>,
        /// Which people
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Also follow so many single changes from an export to the alert at another agency
        #[arg(long, num_args = 0..=1, default_value_t = 0, default_missing_value = "50")]
        live: u64,
        /// Print the result as JSON: a line for each size, and one for the growth
        #[arg(long)]
        json: bool,
    },
    /// Attack what the coordinator receives, and measure how many people can be told
    ///
    /// The attacker has everything that a coordinator receives in a sweep and the largest agency's
    /// register in clear text.
    #[command(after_help = "\
Without a folder, a small town is made. Two controls, which have to be near 100 %, show that the
attack works: single fields as tokens, and a linkage key that leaked.

Example: town attack data/uk_5 --json")]
    Attack {
        /// A folder as for `town link`
        folder: Option<PathBuf>,
        /// Write both sides of the attack to this file, for attacks of another make
        #[arg(long, value_name = "FILE")]
        seen: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write invented people whose truth is known, for `town link` and others
    #[command(hide = true)]
    People {
        /// The folder
        folder: PathBuf,
        /// How many agencies
        #[arg(long, default_value_t = 5)]
        agencies: usize,
        /// How many people each of them knows
        #[arg(long, default_value_t = 4000)]
        people: u64,
        /// Which people
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Run this program as a node
    #[command(hide = true)]
    Node(causeway_node::cli::Args),
    /// Run this program as a coordinator
    #[command(hide = true)]
    Coordinator(causeway_coordinator::cli::Args),
}

/// Reads a number of agencies between which something can be linked.
fn two_or_more(text: &str) -> Result<usize, String> {
    let number = text.parse().map_err(|error| format!("{error}"))?;
    if number < 2 { Err("two agencies at least".to_owned()) } else { Ok(number) }
}

/// Does what the arguments ask for.
pub fn run(args: &Args, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let Some(command) = &args.command else { return give_demo(&args.demo, out) };
    match command {
        Command::Demo(demo) => give_demo(demo, out),
        Command::Year { from, to, seed, people, json } => {
            let settings = year::Settings { from: *from, to: *to, seed: *seed, people: *people };
            let scratch = Scratch::new()?;
            let report = year::year(&settings, scratch.path(), Launcher::this()?)?;
            match json {
                true => Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?),
                false => year::print(&report, out),
            }
        }
        Command::Up { dir, people } => {
            interrupt::watch()?;
            let place = match dir {
                Some(dir) => Place::Given(dir),
                None => Place::New(Scratch::new()?),
            };
            demo::up(&people.settings(), place, Launcher::this()?, out)
        }
        Command::Link { folder, pairs, persons, explain, svg, json } => {
            let scratch = Scratch::new()?;
            let wanted = Details {
                pairs: pairs.as_deref(),
                persons: persons.as_deref(),
                explain: explain.as_slice().try_into().ok(),
            };
            let report = link::link(folder, scratch.path(), wanted, Launcher::this()?)?;
            if let (Some(path), Some(explained)) = (svg, &report.explained) {
                fs::write(path, waterfall::svg(explained.evidence.as_slice()))
                    .with_context(|| format!("could not write {}", path.display()))?;
            }
            if *json {
                return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?);
            }
            print_link(&report, out)
        }
        Command::Bench { agencies, people, seed, live, json } => {
            let mut sizes = Vec::with_capacity(people.len());
            for people in people {
                let settings = bench::Settings {
                    agencies: *agencies,
                    people: *people,
                    seed: *seed,
                    live: *live,
                };
                let scratch = Scratch::new()?;
                let report = bench::bench(&settings, scratch.path(), Launcher::this()?)?;
                match json {
                    true => writeln!(out, "{}", serde_json::to_string(&report)?)?,
                    false => bench::print(&report, out)?,
                }
                sizes.push(report);
            }
            match bench::growth::Growth::of(&sizes) {
                Some(growth) if *json => {
                    let growth = serde_json::json!({ "growth": growth });
                    Ok(writeln!(out, "{growth}")?)
                }
                Some(growth) => growth.print(out),
                None => Ok(()),
            }
        }
        Command::Attack { folder, seen, json } => {
            let scratch = Scratch::new()?;
            let made = scratch.path().join("people");
            if folder.is_none() {
                bench::people(
                    &bench::Settings { agencies: 5, people: 2000, seed: 1, live: 0 },
                    &made,
                )?;
            }
            let data = folder.as_deref().unwrap_or(&made);
            let report = attack::attack(data, scratch.path(), seen.as_deref(), &Launcher::this()?)?;
            match json {
                true => Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?),
                false => attack::print(&report, out),
            }
        }
        Command::People { folder, agencies, people, seed } => {
            let (agencies, people, seed) = (*agencies, *people, *seed);
            bench::people(&bench::Settings { agencies, people, seed, live: 0 }, folder)
        }
        Command::Node(args) => {
            interrupt::end_with_town();
            causeway_node::cli::run(args, out)
        }
        Command::Coordinator(args) => {
            interrupt::end_with_town();
            causeway_coordinator::cli::run(args, out)
        }
    }
}

fn give_demo(args: &Demo, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let report = demo::demo(&args.people.settings(), scratch.path(), Launcher::this()?)?;
    if args.json {
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?);
    }
    demo::print(&report, out)
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
    if let Some(explained) = &report.explained {
        write!(out, "\n{explained}")?;
    }
    Ok(())
}
