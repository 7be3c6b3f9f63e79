//! The command line of a node.

mod intake;
mod reading;

use std::{io::Write, path::PathBuf};

use anyhow::{Context, bail};
use causeway_certs::telemetry::{self, LogFormat};
use causeway_proto::{catalogue::AgencyKind, day::Day, ids::AgencyId};
use clap::{Args as ClapArgs, Parser, Subcommand};
use serde_json::json;

use crate::{
    app::App,
    config::{self, NodeConfig},
    doctor::{self, State},
    setup::{self, NewNode},
    store::StoreError,
};

/// Run one agency's Causeway node
///
/// A node takes in the exports that the agency's systems already produce, turns identities into
/// keyed hashes, and answers the coordinator as far as the agency's own policy file allows. Records
/// never leave it. Alerts arrive in its inbox.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
A new node, from nothing to serving:
  causeway-node init --folder /etc/causeway --deployment pilot --id housing --kind housing \\
      --coordinator main --coordinator-address coordinator.example:7440
  (send identity/request.csr to whoever runs the CA; put what comes back into identity/)
  causeway-node check
  causeway-node ingest tenancies /srv/exports/tenancies.csv --dry-run
  causeway-node ingest tenancies /srv/exports/tenancies.csv
  causeway-node serve"
)]
pub struct Args {
    /// Settings file
    #[arg(
        long,
        global = true,
        env = "CAUSEWAY_NODE_CONFIG",
        default_value = "/etc/causeway/node.toml"
    )]
    config: PathBuf,
    /// What to log, such as `warn` or `causeway_node=debug`
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
    /// Make the folder of a new node: keys, a certificate request, commented settings
    Init(Init),
    /// Say whether the node would work, and what to do where it would not
    ///
    /// Looks at settings, mappings, policy, permissions, keys, certificates, the clock and the
    /// coordinator. Exits with 1 if anything fails.
    Check,
    /// Take in one export, whole or not at all
    ///
    /// The same file twice is no news. A file that is cut off, mostly bad or in another encoding is
    /// refused with the reason, and what was there before stands. Without a file, the database that
    /// the mapping names in `[database]` is asked. With `--all`, everything that lies whole in the
    /// folders of `[[intake]]` is taken in, the oldest first, and every database is asked; `serve`
    /// does the same all the time.
    Ingest(Ingest),
    /// Show the rows that were left out, for somebody at the source to mend
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Answer the coordinator until told to stop (SIGINT or SIGTERM)
    Serve(Serve),
    /// Read the alerts that reached this agency
    #[command(subcommand)]
    Inbox(reading::Inbox),
}

#[derive(Debug, ClapArgs)]
struct Init {
    /// The folder to make
    #[arg(long)]
    folder: PathBuf,
    /// The federation's short name
    #[arg(long)]
    deployment: AgencyId,
    /// This agency's short name in it
    #[arg(long)]
    id: AgencyId,
    /// What the agency is for, such as `housing` or `adult_social_care`
    #[arg(long)]
    kind: AgencyKind,
    /// The coordinator's short name
    #[arg(long)]
    coordinator: AgencyId,
    /// Host and port of the coordinator
    #[arg(long, value_name = "HOST:PORT", value_parser = config::host_and_port)]
    coordinator_address: String,
}

#[derive(Debug, ClapArgs)]
struct Ingest {
    /// The feed's id, as its mapping file says
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    feed: Option<String>,
    /// The export; without one, the feed's database is asked
    file: Option<PathBuf>,
    /// Take in what lies in the folders of the settings, and ask every database
    #[arg(long, conflicts_with = "dry_run")]
    all: bool,
    /// Read and check it, say what it is like, and take nothing in
    #[arg(long)]
    dry_run: bool,
    /// The day of the export, if it is not today's: none to come, and none before the last one's
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_at: Option<Day>,
}

#[derive(Debug, ClapArgs)]
struct Serve {
    /// Write `{"listen": "address"}` here once the node answers, for a supervisor
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Quarantine {
    /// List what the last good export of each feed left out: feed, line, column and rule
    ///
    /// Events after a person's death are among them, and records whose number seems to have been
    /// given to somebody else. What the rows say is shown nowhere.
    List {
        /// Only this feed's
        #[arg(long)]
        feed: Option<String>,
    },
}

/// Runs one command; results go to `out`, the log to standard error.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    telemetry::start(&args.log, args.log_format);
    let runtime = tokio::runtime::Runtime::new().context("could not start")?;
    runtime.block_on(command(args, out))
}

async fn command(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    if let Command::Init(new) = &args.command {
        return init(args, new, out);
    }
    let config = load(args)?;
    let store = config.store.path.clone();
    with_settings(args, config, out).await.map_err(|error| {
        let is_statement = |cause: &(dyn std::error::Error + 'static)| {
            let cause = cause.downcast_ref::<StoreError>();
            matches!(cause, Some(StoreError::Statement(_) | StoreError::Corrupt(_)))
        };
        match error.chain().any(is_statement) {
            true => error.context(format!("could not use the records in {}", store.display())),
            false => error,
        }
    })
}

async fn with_settings(args: &Args, config: NodeConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.command {
        Command::Init(new) => init(args, new, out),
        Command::Check => check(args, &config, out).await,
        Command::Ingest(ingest) => {
            let app = App::build(config).await?;
            let done = intake::take_in(args, ingest, &app, out).await;
            app.store().close().await;
            done
        }
        Command::Quarantine(Quarantine::List { feed }) => {
            let app = App::build(config).await?;
            intake::list_quarantine(args, feed.as_deref(), &app, out).await
        }
        Command::Serve(serve) => {
            let app = App::build(config).await?;
            let ready_file = serve.ready_file.clone();
            app.serve(stopped(), move |address| {
                let Some(path) = ready_file else { return Ok(()) };
                let ready = json!({ "listen": address.map(|address| address.to_string()) });
                Ok(causeway_certs::files::write_public(path, ready.to_string().as_bytes())?)
            })
            .await
        }
        Command::Inbox(inbox) => {
            let app = App::build(config).await?;
            reading::read(args, inbox, &app, out).await
        }
    }
}

fn load(args: &Args) -> anyhow::Result<NodeConfig> {
    NodeConfig::load(&args.config)
}

fn init(args: &Args, new: &Init, out: &mut dyn Write) -> anyhow::Result<()> {
    let new = NewNode {
        folder: new.folder.clone(),
        deployment: new.deployment.clone(),
        id: new.id.clone(),
        kind: new.kind,
        coordinator: new.coordinator.clone(),
        coordinator_address: new.coordinator_address.clone(),
    };
    let request = setup::init(&new)?;
    let folder = new.folder.display();
    if args.json {
        writeln!(out, "{}", json!({ "folder": new.folder, "request": request }))?;
        return Ok(());
    }
    writeln!(out, "Made {folder}. Next:")?;
    writeln!(out, "  1. Send {} to whoever runs the CA, and confirm", request.display())?;
    writeln!(out, "     over another channel that it came from you.")?;
    writeln!(out, "  2. Put certificate.pem, ca.pem and crl.pem into {folder}/identity.")?;
    writeln!(out, "  3. Put the epoch's linkage key into {folder}/keys/epoch.key (chmod 600);")?;
    writeln!(out, "     one person makes it for all nodes, with `causeway-certs epoch-key`.")?;
    writeln!(
        out,
        "  4. Write a mapping for each export ({folder}/feeds/example.toml) and name it"
    )?;
    writeln!(out, "     in {folder}/node.toml; decide what may be said in {folder}/policy.toml.")?;
    writeln!(out, "  5. causeway-node check --config {folder}/node.toml")?;
    Ok(())
}

async fn check(args: &Args, config: &NodeConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    let findings = doctor::examine(config).await;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&findings)?)?;
    } else {
        for finding in &findings {
            let state = match finding.state {
                State::Ok => "ok",
                State::Warning => "WARN",
                State::Failed => "FAIL",
            };
            writeln!(out, "{state:<5} {:<16} {}", finding.what, finding.message)?;
        }
    }
    match findings.iter().filter(|finding| finding.state == State::Failed).count() {
        0 => Ok(()),
        1 => bail!("1 check failed"),
        several => bail!("{several} checks failed"),
    }
}

/// Resolves when the process is asked to stop.
pub async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    // If a handler cannot be installed, the signal kills the process, which is also a way to stop.
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests;
