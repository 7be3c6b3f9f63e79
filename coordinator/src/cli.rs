//! The command line of a coordinator.

mod model;
mod status;
mod sweep;

use std::{
    fs::{self, File},
    io::Write,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::Context;
use causeway_certs::telemetry::{self, LogFormat};
use causeway_proto::{day::Day, ids::AlertId};
use clap::{Args as ClapArgs, Parser, Subcommand};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use crate::{
    app::{self, Coordinator, Issued},
    clock,
    config::{CoordinatorConfig, EXAMPLE},
    cycle::{report::LinkReport, waterfall, weakest},
    ledger::sweeps,
    score::{Model, replay},
};

/// Run a Causeway coordinator
///
/// The coordinator links the same people and households across agencies' nodes without being able to
/// tell who anybody is, joins the risk signals into one explained score, and sends the few highest
/// to the professionals with a duty of care.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Day by day:
  causeway-coordinator serve                     answers nodes and operators, delivers alerts
  causeway-coordinator status                    which nodes are there, what waits for delivery
  causeway-coordinator sweep                     one pass over all nodes, now
  causeway-coordinator alerts                    what was issued, and who has it
  causeway-coordinator explain ALERT             why, line by line and link by link
  causeway-coordinator skip NUMBER               go on after the ledger was lost or restored
Offline:
  causeway-coordinator score events.csv --as-at 2025-02-25     replay or back-test a model
  causeway-coordinator model check new.toml                    is this model fit to be used
  causeway-coordinator model diff old.toml new.toml            what changes, and for whom
  causeway-coordinator model keygen my-key.pem                 a key to sign models off with
  causeway-coordinator model sign new.toml --key my-key.pem --name ROLE"
)]
pub struct Args {
    /// Settings file
    #[arg(
        long,
        global = true,
        env = "CAUSEWAY_COORDINATOR_CONFIG",
        default_value = "/etc/causeway/coordinator.toml"
    )]
    config: PathBuf,
    /// What to log, such as `warn` or `causeway_coordinator=debug`
    #[arg(
        long,
        global = true,
        env = "CAUSEWAY_LOG",
        default_value = "info",
        value_parser = telemetry::filter
    )]
    log: String,
    /// How to write the log
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a whole settings file with comments, to start from
    #[command(after_help = "\
Example:
  causeway-coordinator example > /etc/causeway/coordinator.toml")]
    Example,
    /// Answer nodes and operators and deliver alerts until told to stop (SIGINT or SIGTERM)
    Serve(Serve),
    /// Make one pass over all nodes: link, score, alert
    ///
    /// Asks the coordinator that is serving with the same settings; where none is, makes the pass
    /// itself. A line of progress for each node and step goes to standard error.
    Sweep(Sweep),
    /// Say which nodes can be reached and what waits for delivery
    Status,
    /// List the alerts that were issued, newest first
    Alerts {
        /// At most so many
        #[arg(long, default_value = "50")]
        limit: NonZeroU32,
    },
    /// Say why an alert was issued: lines, rules, and the evidence of its links
    ///
    /// Evidence is in kinds and levels of agreement and in bits; nobody's identity is part of it.
    Explain {
        /// The alert's id, as `alerts` prints it
        alert: AlertId,
        /// Which revision, if it is not the latest: what was told before an alert rose or was withdrawn
        #[arg(long, value_name = "N")]
        revision: Option<u32>,
        /// Draw the evidence of its links into this file, too
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Number the next sweep above what nodes have seen, where the ledger was lost or restored
    ///
    /// A node opens no sweep whose number it has seen, or passed, and says in its refusal which that was.
    /// Nor does it open one whose number is far above: a slip would keep every node out for good, so a ledger
    /// that knows of earlier sweeps lets no more than 1000 numbers be left out at once.
    #[command(after_help = "\
Example, after \"the node has opened sweep 412 before\":
  causeway-coordinator skip 412")]
    Skip {
        /// The highest number that any node has seen
        #[arg(value_parser = clap::value_parser!(u64).range(1..1 << 62))]
        through: u64,
    },
    /// Score households from a CSV file, without any node
    ///
    /// Columns: `household,person,agency,code,start,end,event_ref,confidence`. The same file, model and
    /// day give the same bytes on any machine.
    #[command(after_help = "\
Example:
  causeway-coordinator score history.csv --as-at 2025-02-25 --json")]
    Score(Score),
    /// Hold a scoring model against its promises or beside another, and sign it off
    #[command(subcommand)]
    Model(model::Command),
}

#[derive(Debug, ClapArgs)]
struct Serve {
    /// Write `{"listen": "address"}` here once the coordinator answers, for a supervisor
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct Sweep {
    /// The day the scores speak of, if it is not today; none that is still to come
    ///
    /// Nodes with real data answer for about today only, and never for an earlier day than before.
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_at: Option<Day>,
    /// Leave the sweep open after its pass and follow what changes at the nodes, until told to stop
    ///
    /// Each burst of changes is a line, or with --json a JSON object.
    #[arg(long, conflicts_with_all = ["links_out", "dump_out"])]
    watch: bool,
    /// Score the same households with another model, too, and say who would newly surface or vanish
    ///
    /// Tells nobody, and keeps nothing but counts. The file has to be signed off by two people; where a
    /// coordinator is serving, it is that one which reads it.
    #[arg(long, value_name = "MODEL")]
    shadow: Option<PathBuf>,
    /// Explain so many links, too: those that only just held, the weakest first, as `explain` shows an alert's
    ///
    /// Keeps none of it. Nothing of it says whose records they are; alerts name those that matter.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(..=i64::from(weakest::MOST))
    )]
    weakest: u32,
    /// Draw the evidence of these links into this file
    #[arg(long, value_name = "FILE", requires = "weakest", conflicts_with = "watch")]
    svg: Option<PathBuf>,
    /// Write this sweep's links by handles, for measuring linkage; the settings have to allow it
    #[arg(long, value_name = "FILE")]
    links_out: Option<PathBuf>,
    /// Write everything that this sweep received, for measuring what it gives away; the settings
    /// have to allow it
    #[arg(long, value_name = "FILE")]
    dump_out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct Score {
    /// The CSV file
    file: PathBuf,
    /// The day to score as at
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_at: Day,
    /// A model file, if it is not the built-in one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// Runs one command; results go to `out`, progress and the log to standard error.
pub fn run(args: &Args, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    if matches!(args.command, Command::Example) {
        return Ok(out.write_all(EXAMPLE.as_bytes())?);
    }
    let quiet = !matches!(args.command, Command::Serve(_)) && args.log == "info";
    telemetry::start(if quiet { "warn" } else { &args.log }, args.log_format);
    if let Command::Score(score) = &args.command {
        return replay_file(args, score, out);
    }
    if let Command::Model(command) = &args.command {
        return model::run(command, args.json, out);
    }
    let runtime = tokio::runtime::Runtime::new().context("could not start")?;
    runtime.block_on(command(args, CoordinatorConfig::load(&args.config)?, out))
}

async fn command(
    args: &Args,
    config: CoordinatorConfig,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    match &args.command {
        Command::Serve(serve) => {
            let ready_file = serve.ready_file.clone();
            Coordinator::build(config)
                .await?
                .serve(stopped(), move |address| {
                    let Some(path) = ready_file else { return Ok(()) };
                    let ready = json!({ "listen": address.to_string() }).to_string();
                    Ok(causeway_certs::files::write_public(path, ready.as_bytes())?)
                })
                .await
        }
        Command::Sweep(sweep) => Box::pin(sweep::make_pass(args, sweep, config, out)).await,
        Command::Status => status::status(args, config, out).await,
        Command::Alerts { limit } => {
            let limit = &limit.get();
            let ledger = app::open_ledger(&config.ledger).await?;
            let issued = app::issued(&ledger, *limit).await?;
            list(args, &issued, out)
        }
        Command::Explain { alert, revision, svg } => {
            let ledger = app::open_ledger(&config.ledger).await?;
            let latest = app::explain(&ledger, *alert, None).await?;
            let latest = latest.with_context(|| format!("alert {alert} was never issued"))?;
            let (_, report) = match revision {
                None => latest,
                Some(wanted) => {
                    let found = app::explain(&ledger, *alert, Some(*wanted)).await?;
                    let last = latest.1.revision;
                    found.with_context(|| {
                        format!("alert {alert} has no revision {wanted}: the latest is {last}")
                    })?
                }
            };
            if let Some(path) = svg {
                draw(path, &report.links)?;
            }
            if args.json {
                writeln!(out, "{}", serde_json::to_string(&report)?)?;
            } else {
                write!(out, "{report}")?;
                report.links.iter().try_for_each(|link| write!(out, "{link}"))?;
            }
            Ok(())
        }
        Command::Skip { through } => {
            let ledger = app::open_ledger(&config.ledger).await?;
            let mut tx = ledger.begin().await?;
            let next = sweeps::skip(&mut tx, *through, clock::today(), clock::now_ms()).await?;
            tx.commit().await?;
            match args.json {
                true => writeln!(out, "{}", json!({ "next_sweep": next }))?,
                false => writeln!(out, "The next sweep is number {next}.")?,
            }
            Ok(())
        }
        Command::Example | Command::Score(_) | Command::Model(_) => unreachable!("done before"),
    }
}

/// Connects to the coordinator that is serving on this machine, if there is one.
async fn control(path: &Path) -> Option<Channel> {
    let path = path.to_owned();
    UnixStream::connect(&path).await.ok()?;
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://control").connect_with_connector(connect).await.ok()
}

fn list(args: &Args, issued: &[Issued], out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    if args.json {
        let alerts: Vec<_> = issued
            .iter()
            .map(|issued| {
                let alert = &issued.alert;
                json!({
                    "alert_id": alert.id.to_string(), "revision": alert.revision,
                    "change": alert.change, "tier": alert.tier,
                    "score": f64::from(alert.score_tenths) / 10.0, "as_at": alert.as_at,
                    "recipients": issued.reached.recipients, "delivered": issued.reached.delivered,
                    "state": issued.state.as_str(), "reason": alert.reason,
                })
            })
            .collect();
        writeln!(out, "{}", serde_json::to_string(&alerts)?)?;
        return Ok(());
    }
    if issued.is_empty() {
        writeln!(out, "No alert was issued yet.")?;
    }
    for Issued { alert, reached, state } in issued {
        let to: Vec<&str> = reached.recipients.iter().map(|agency| agency.as_str()).collect();
        let score = f64::from(alert.score_tenths) / 10.0;
        let (has, all) = (reached.delivered, reached.recipients.len());
        writeln!(
            out,
            "{}  {}  {score:>5.1}  {:<6} {}  {:<11}  {has} of {all} have it: {}",
            alert.id,
            alert.tier,
            alert.change,
            alert.as_at,
            state.as_str(),
            to.join(", ")
        )?;
    }
    Ok(())
}

/// Draws the evidence of links into a file.
fn draw(path: &Path, links: &[LinkReport]) -> anyhow::Result<()> {
    fs::write(path, waterfall::svg(links))
        .with_context(|| format!("could not write {}", path.display()))
}

fn replay_file(args: &Args, score: &Score, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let model = match &score.model {
        Some(path) => Model::load(path)?,
        None => Model::builtin().clone(),
    };
    let path = score.file.display();
    let file = File::open(&score.file).with_context(|| format!("could not open {path}"))?;
    let report = replay::replay(&model, file, score.as_at).with_context(|| format!("in {path}"))?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

/// Resolves when the process is asked to stop, from now on. Has to be called inside a Tokio runtime.
pub fn stopped() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async {
        // If a handler cannot be installed, the signal kills the process, which is also a way to stop.
        let [Ok(mut interrupt), Ok(mut terminate)] = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Args::command().debug_assert();
    }
}
