//! `inbox`: reading the alerts that reached the agency, and answering them.

use std::io::Write;

use anyhow::{Context, ensure};
use causeway_proto::{
    day::Day,
    ids::AlertId,
    review::{ReviewAction, ReviewReason},
    wire::UnknownName,
};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use sqlx::SqliteConnection;

use super::Args;
use crate::{
    app::App,
    clock,
    inbox::{
        self, Shown,
        answer::{self, Answer, AnswerError},
        letter,
    },
    store::{
        alerts,
        audit::{self, Entry},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Inbox {
    /// List alerts, newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one alert as a professional should see it
    Show {
        /// The alert's id, as `inbox list` prints it
        id: AlertId,
    },
    /// Answer an alert, so that it is not told again without news
    ///
    /// `acting`: we have it. `pass-on`: a colleague elsewhere was asked. `in-hand` (with a reason): somebody was
    /// on it before. `no-further-action` (with a reason): quiet for four weeks. `wrong-record` (with a line): that
    /// line belongs to somebody else; the link is broken for good and everybody who was told hears of it.
    Review(Review),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Review {
    /// The alert's id, as `inbox list` prints it
    id: AlertId,
    /// What becomes of it: acting, pass-on, in-hand, no-further-action or wrong-record
    #[arg(long, value_parser = named::<ReviewAction>)]
    action: ReviewAction,
    /// Why, for in-hand and no-further-action: not-a-concern, benign-explanation, below-threshold,
    /// duplicate or worker-already-involved
    #[arg(long, value_parser = named::<ReviewReason>)]
    reason: Option<ReviewReason>,
    /// The number of the reason that belongs to somebody else, as `inbox show` numbers them
    #[arg(long)]
    line: Option<usize>,
    /// Which revision it answers, as `inbox show` prints it. Left out, it is the newest, which has to have been
    /// shown if it is not the first
    #[arg(long)]
    revision: Option<u32>,
    /// The day of the review, if it is not today: none before the alert's
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_at: Option<Day>,
}

/// Reads a word of the contract as people write it, with hyphens.
fn named<T: std::str::FromStr<Err = UnknownName>>(text: &str) -> Result<T, String> {
    text.replace('-', "_").parse().map_err(|UnknownName { known, .. }: UnknownName| {
        format!("it is not one of {}", known.join(", ").replace('_', "-"))
    })
}

/// Says what an answer lacks by the options of the command line.
fn in_options(error: AnswerError) -> anyhow::Error {
    match error {
        AnswerError::Incomplete(cause) => {
            let cause = cause.to_string();
            let cause = cause.replace("`line_id`", "`--line`").replace("`reason`", "`--reason`");
            anyhow::anyhow!(
                "the answer is not whole: {cause}; `inbox review --help` says what each action needs"
            )
        }
        error => error.into(),
    }
}

/// Refuses an answer to a revision that nobody here has seen.
fn check_seen(shown: &Shown, revision: Option<u32>) -> anyhow::Result<()> {
    let newest = shown.alert.revision;
    let seen = match revision {
        Some(revision) => revision == newest,
        None => newest == 1 || shown.read_ms.is_some(),
    };
    ensure!(
        seen,
        "the alert is at revision {newest} by now: read it with `inbox show`, and answer it with \
         `--revision {newest}`"
    );
    Ok(())
}

/// Runs one of the commands about the inbox.
pub(super) async fn read(
    args: &Args,
    command: &Inbox,
    app: &App,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match command {
        Inbox::List { limit } => list(args, *limit, app, out).await,
        Inbox::Show { id } => show(args, *id, app, out).await,
        Inbox::Review(review) => answer(args, review, app, out).await,
    }
}

async fn list(args: &Args, limit: u32, app: &App, out: &mut dyn Write) -> anyhow::Result<()> {
    // Nobody who writes waits for it.
    let mut conn = app.store().snapshot().await?;
    let shown = inbox::list(&mut conn, None, limit).await?;
    drop(conn);
    let now_ms = clock::now_ms();
    let listed = Entry::local(now_ms, "ListAlerts", &limit.to_be_bytes());
    let mut tx = app.store().begin().await?;
    audit::put(&mut tx, &Entry { answered: shown.len() as u64, ..listed }).await?;
    tx.commit().await?;
    if args.json {
        let entries: Vec<_> = shown.iter().map(letter::summary).collect();
        writeln!(out, "{}", serde_json::to_string(&entries)?)?;
    } else if shown.is_empty() {
        writeln!(out, "The inbox is empty.")?;
    } else {
        shown.iter().try_for_each(|entry| writeln!(out, "{}", letter::line(entry, now_ms)))?;
    }
    Ok(())
}

async fn show(args: &Args, id: AlertId, app: &App, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut tx = app.store().begin().await?;
    let shown = shown(&mut tx, id).await?;
    let people = inbox::people(&mut tx, &shown).await?;
    let now_ms = clock::now_ms();
    alerts::mark_read(&mut tx, id, shown.alert.revision, now_ms).await?;
    audit::put(&mut tx, &Entry::local(now_ms, "ShowAlert", id.as_bytes())).await?;
    tx.commit().await?;
    if args.json {
        writeln!(out, "{}", letter::whole(&shown, &people))?;
    } else {
        write!(out, "{}", letter::text(&shown, &people))?;
    }
    Ok(())
}

async fn answer(
    args: &Args,
    review: &Review,
    app: &App,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Review { id, action, reason, line, revision, as_at } = review;
    let mut tx = app.store().begin().await?;
    let shown = shown(&mut tx, *id).await?;
    check_seen(&shown, *revision)?;
    let line = line.map(|number| answer::line(&shown.alert, number)).transpose()?;
    let given = Answer { action: *action, reason: *reason, line };
    let now_ms = clock::now_ms();
    let when = (as_at.unwrap_or_else(clock::today), now_ms);
    let kept = answer::answer(&mut tx, &shown, given, when).await.map_err(in_options)?;
    audit::put(&mut tx, &Entry::local(now_ms, "ReviewAlert", id.as_bytes())).await?;
    tx.commit().await?;
    if args.json {
        let review_id = causeway_certs::certificate::hex(kept.id.as_bytes());
        writeln!(out, "{}", json!({ "review_id": review_id, "action": action.as_str() }))?;
    } else {
        writeln!(out, "Kept. The node passes it on to the coordinator while it serves.")?;
    }
    Ok(())
}

async fn shown(conn: &mut SqliteConnection, id: AlertId) -> anyhow::Result<Shown> {
    let shown = inbox::get(conn, id).await?;
    shown.with_context(|| format!("there is no alert {id} in this inbox"))
}
