//! `inbox`: reading the alerts that reached the agency, and answering them.

use std::io::Write;

use anyhow::Context;
use causeway_proto::{
    day::Day,
    ids::AlertId,
    review::{ReviewAction, ReviewReason},
    wire::UnknownName,
};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::Args;
use crate::{
    app::App,
    clock,
    inbox::{
        self,
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

/// Runs one of the commands about the inbox.
pub(super) async fn read(
    args: &Args,
    command: &Inbox,
    app: &App,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut conn = app.store().begin().await?;
    match command {
        Inbox::List { limit } => {
            let shown = inbox::list(&mut conn, None, *limit).await?;
            if args.json {
                let entries: Vec<_> = shown.iter().map(letter::summary).collect();
                writeln!(out, "{}", serde_json::to_string(&entries)?)?;
            } else if shown.is_empty() {
                writeln!(out, "The inbox is empty.")?;
            } else {
                shown.iter().try_for_each(|entry| {
                    writeln!(out, "{}", letter::line(entry, clock::now_ms()))
                })?;
            }
        }
        Inbox::Show { id } => {
            let shown = inbox::get(&mut conn, *id).await?;
            let shown = shown.with_context(|| format!("there is no alert {id} in this inbox"))?;
            let people = inbox::people(&mut conn, &shown).await?;
            let now_ms = clock::now_ms();
            alerts::mark_read(&mut conn, *id, shown.alert.revision, now_ms).await?;
            audit::put(&mut conn, &Entry::local(now_ms, "ShowAlert", id.as_bytes())).await?;
            conn.commit().await?;
            if args.json {
                writeln!(out, "{}", letter::whole(&shown, &people))?;
            } else {
                write!(out, "{}", letter::text(&shown, &people))?;
            }
        }
        Inbox::Review(Review { id, action, reason, line, as_at }) => {
            let shown = inbox::get(&mut conn, *id).await?;
            let shown = shown.with_context(|| format!("there is no alert {id} in this inbox"))?;
            let line = line.map(|number| answer::line(&shown.alert, number)).transpose()?;
            let given = Answer { action: *action, reason: *reason, line };
            let now_ms = clock::now_ms();
            let review = {
                let when = (as_at.unwrap_or_else(clock::today), now_ms);
                answer::answer(&mut conn, &shown, given, when).await.map_err(in_options)?
            };
            audit::put(&mut conn, &Entry::local(now_ms, "ReviewAlert", id.as_bytes())).await?;
            conn.commit().await?;
            if args.json {
                let review_id = causeway_certs::certificate::hex(review.id.as_bytes());
                writeln!(out, "{}", json!({ "review_id": review_id, "action": action.as_str() }))?;
            } else {
                writeln!(out, "Kept. The node passes it on to the coordinator while it serves.")?;
            }
        }
    }
    Ok(())
}
