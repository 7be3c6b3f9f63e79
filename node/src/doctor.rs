//! Says whether a node would work, and what to do where it would not.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use causeway_certs::{certificate::utc, dial, tls::TlsState};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::timeout;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    app,
    cause::in_one_line,
    clock,
    config::{self, IntakeConfig, NodeConfig},
    extract,
    ingest::{
        freshness::{self, Freshness},
        landing::Landing,
    },
    policy::Policy,
    source::Feed,
    store::{Store, imports},
    tokenise::keyring::Keyring,
};

/// How long the coordinator, a database or the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Certificates and lists with less left than this are worth a word, in days.
const SOON_DAYS: i64 = 2;

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// Whether it is good.
    pub state: State,
    /// What was found, and what to do.
    pub message: String,
}

/// Whether something is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is.
    Ok,
    /// It is now, and may not be soon; or it cannot be told from here.
    Warning,
    /// It is not.
    Failed,
}

/// Looks at everything a node needs.
pub async fn examine(config: &NodeConfig) -> Vec<Finding> {
    let mut findings = vec![
        ok("settings", format!("node {} of {}", config.id, config.deployment)),
        feeds(config),
        policy(config),
        permissions(config),
        keys(config),
        store(config).await,
    ];
    findings.extend(any_day(config));
    findings.extend(intake(config));
    findings.extend(databases(config).await);
    findings.extend(stale(config).await);
    let tls = TlsState::load(&config.identity_files, OffsetDateTime::now_utc());
    match tls {
        Err(error) => findings.push(failed("certificate", &error)),
        Ok(tls) => {
            findings.extend(certificate(config, &tls));
            findings.push(clock_looks_right(&tls));
            findings.push(coordinator(config, &tls).await);
        }
    }
    findings
}

fn ok(what: &'static str, message: impl Into<String>) -> Finding {
    Finding { what, state: State::Ok, message: message.into() }
}

fn warning(what: &'static str, message: impl Into<String>) -> Finding {
    Finding { what, state: State::Warning, message: message.into() }
}

fn failed(what: &'static str, error: &dyn std::error::Error) -> Finding {
    Finding { what, state: State::Failed, message: in_one_line(error) }
}

fn feeds(config: &NodeConfig) -> Finding {
    match app::load_feeds(config) {
        Ok(feeds) if feeds.is_empty() => {
            warning("feeds", "no feed yet: write a mapping and name it in `feeds`")
        }
        Ok(feeds) => {
            let names: Vec<&str> = feeds.iter().map(Feed::id).collect();
            let tests = feeds.iter().filter(|feed| feed.mapping().accept_test_ranges);
            let tests: Vec<&str> = tests.map(Feed::id).collect();
            match tests.is_empty() {
                true => ok("feeds", names.join(", ")),
                false => warning(
                    "feeds",
                    format!(
                        "{} take numbers that are never issued (`accept_test_ranges`): not for records of \
                     real people, among whom such a number is one that somebody made up",
                        tests.join(", ")
                    ),
                ),
            }
        }
        Err(error) => {
            let message = format!("{error:#}");
            Finding { what: "feeds", state: State::Failed, message }
        }
    }
}

fn policy(config: &NodeConfig) -> Finding {
    match Policy::load(&config.policy, &config.id, config.kind) {
        Ok(policy) => {
            let released = policy.released_codes();
            let concerns = policy.concerns(clock::today());
            let state = match () {
                () if concerns.iter().any(|concern| concern.is_fatal) => State::Failed,
                () if released == 0 || !concerns.is_empty() => State::Warning,
                () => State::Ok,
            };
            let mut message = format!("{released} codes are released");
            concerns.iter().for_each(|concern| message += &format!("; {}", concern.message));
            Finding { what: "policy", state, message }
        }
        Err(error) => failed("policy", &error),
    }
}

/// Folders with secrets are this user's only.
fn permissions(config: &NodeConfig) -> Finding {
    let folders = [Some(config.keys.folder.as_path()), config.store.path.parent()];
    for folder in folders.into_iter().flatten() {
        let path = folder.display();
        match std::fs::metadata(folder) {
            Err(error) => {
                return Finding {
                    what: "permissions",
                    state: State::Failed,
                    message: format!("{path}: {error}"),
                };
            }
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
                let message = format!("{path} can be read by other users: run `chmod 700 {path}`");
                return warning("permissions", message);
            }
            Ok(_) => {}
        }
    }
    ok("permissions", "folders of keys and records are this user's only")
}

fn keys(config: &NodeConfig) -> Finding {
    let keyring = Keyring::new(&config.keys.folder, config.deployment.clone());
    let chain = keyring.handle_key().and_then(|_| {
        keyring.try_write()?;
        keyring.chain()
    });
    match chain {
        Ok(chain) => {
            let commit = chain.commit();
            let shown: Vec<String> = commit[..8]
                .chunks(2)
                .map(|pair| format!("{:02x}{:02x}", pair[0], pair[1]))
                .collect();
            let message = format!(
                "epoch {}, next sweep {}, key commitment {}: the same at every node",
                chain.epoch(),
                chain.index(),
                shown.join(" ")
            );
            ok("keys", message)
        }
        Err(error) => failed("keys", &error),
    }
}

async fn store(config: &NodeConfig) -> Finding {
    let found = async {
        let store = Store::open(&config.store.path).await?;
        // Where it takes long, somebody else is writing at the moment, so it can be written.
        timeout(PATIENCE, store.try_write()).await.unwrap_or(Ok(()))?;
        let mut conn = store.read().await?;
        let records = crate::store::records::count(&mut conn).await?;
        let events = crate::store::events::count(&mut conn).await?;
        let mut never = Vec::new();
        for feed in app::load_feeds(config).unwrap_or_default() {
            if imports::last_taken(&mut conn, feed.id()).await?.is_none() {
                never.push(feed.id().to_owned());
            }
        }
        Ok::<_, crate::store::StoreError>((records, events, never))
    };
    match found.await {
        Ok((records, events, never)) if never.is_empty() => {
            ok("records", format!("{records} records, {events} events"))
        }
        Ok((records, events, never)) => {
            let never = never.join(", ");
            let message = format!("{records} records, {events} events; nothing yet from {never}");
            warning("records", message)
        }
        Err(error) => {
            let message = format!("{}: {}", config.store.path.display(), in_one_line(&error));
            Finding { what: "records", state: State::Failed, message }
        }
    }
}

/// A setting for trials only.
pub(crate) fn any_day(config: &NodeConfig) -> Option<Finding> {
    let message = || format!("[serve] any_day is set: {}", config::ANY_DAY);
    config.serve.any_day.then(|| warning("any_day", message()))
}

/// Folders that exports land in, whether what waits there can be read, and whether it is somebody's.
fn intake(config: &NodeConfig) -> Vec<Finding> {
    let feeds = app::load_feeds(config).unwrap_or_default();
    config.intake.iter().flat_map(|folder| landing(folder, &feeds)).collect()
}

fn landing(folder: &IntakeConfig, feeds: &[Feed]) -> Vec<Finding> {
    let what = "intake";
    let mut landing = Landing::new(folder);
    let unreadable = match landing.unreadable(feeds) {
        Err(error) => return vec![failed(what, &error)],
        Ok(unreadable) => unreadable,
    };
    let mut findings = vec![match &unreadable[..] {
        [] => {
            let path = folder.folder.display();
            ok(what, format!("{path} is looked at every {} s", folder.every_seconds))
        }
        [first, others @ ..] => {
            let mut message = in_one_line(first);
            if !others.is_empty() {
                message += &format!("; and {} others", others.len());
            }
            Finding { what, state: State::Failed, message }
        }
    }];
    findings.extend(landing.stray().map(|stray| warning(what, in_one_line(&stray))));
    findings
}

/// Whether every database lets this node in and understands its query.
async fn databases(config: &NodeConfig) -> Vec<Finding> {
    let what = "database";
    let mut findings = Vec::new();
    for feed in app::load_feeds(config).unwrap_or_default() {
        let Some(database) = &feed.mapping().database else { continue };
        findings.push(match timeout(PATIENCE, extract::begin(database, None)).await {
            Ok(Ok(_)) => ok(what, format!("that of feed `{}` answers", feed.id())),
            Ok(Err(error)) => failed(what, &error),
            Err(_) => warning(what, format!("that of feed `{}` takes long to begin", feed.id())),
        });
    }
    findings
}

/// Feeds from which nothing good came for too long.
async fn stale(config: &NodeConfig) -> Vec<Finding> {
    let found = async {
        let store = Store::open(&config.store.path).await?;
        let feeds = app::load_feeds(config).unwrap_or_default();
        let policy = Policy::load(&config.policy, &config.id, config.kind).ok();
        let stale_after_h = policy.and_then(|policy| policy.stale_after_h);
        let mut conn = store.read().await?;
        freshness::of(&mut conn, &feeds, stale_after_h, clock::now_ms()).await
    };
    let feeds: Vec<Freshness> = found.await.unwrap_or_default();
    // What never came is said of the records.
    let came = feeds.iter().filter(|feed| feed.as_at.is_some() || feed.refused.is_some());
    came.filter_map(Freshness::problem).map(|message| warning("freshness", message)).collect()
}

fn certificate(config: &NodeConfig, tls: &TlsState) -> Vec<Finding> {
    let (me, wanted) = (tls.identity(), config.identity());
    if me != wanted {
        let message = format!("it is for {me}, and this node is {wanted}");
        return vec![Finding { what: "certificate", state: State::Failed, message }];
    }
    let dated = |what, until: OffsetDateTime| {
        let message = format!("good until {}", utc(until));
        let left = until - OffsetDateTime::now_utc();
        if left.whole_days() < SOON_DAYS { warning(what, message) } else { ok(what, message) }
    };
    vec![dated("certificate", tls.not_after()), dated("revocation list", tls.crl_until())]
}

/// A clock that is wrong refuses everybody. Files from the future show one that is behind.
fn clock_looks_right(tls: &TlsState) -> Finding {
    let now = OffsetDateTime::now_utc();
    if tls.certificate().not_before > now {
        let message =
            format!("it is {} here, before our certificate began: set the clock", utc(now));
        return Finding { what: "clock", state: State::Failed, message };
    }
    ok("clock", format!("{} ({})", utc(now), clock::today()))
}

async fn coordinator(config: &NodeConfig, tls: &TlsState) -> Finding {
    let what = "coordinator";
    let Some(address) = &config.serve.coordinator_address else {
        return warning(what, "it dials this node, so it cannot be tried from here");
    };
    let channel = dial::channel(tls, address.clone(), config.coordinator());
    let mut client = HealthClient::new(channel);
    let request = HealthCheckRequest { service: String::new() };
    match timeout(PATIENCE, client.check(request)).await {
        Ok(Ok(_)) => ok(what, format!("{address} answers")),
        Ok(Err(status)) => {
            let message = format!(
                "{address}: {}; is it serving, is [serve] coordinator_address right, and does the firewall \
                 let this machine out to it?",
                dial::connect_problem(&status)
            );
            Finding { what, state: State::Failed, message }
        }
        Err(_) => {
            let message = format!(
                "{address} does not answer within {} s; is [serve] coordinator_address right, and does the \
                 firewall let this machine out to it?",
                PATIENCE.as_secs()
            );
            Finding { what, state: State::Failed, message }
        }
    }
}
