//! How an alert reads: who and why now, what is new, the reasons, what is not known, whom to ring,
//! what to ask, and what it is not (DOMAIN.md 7.1 and 7.2).

use std::fmt::Write;

use causeway_proto::{
    alert::{Alert, AlertChange, AlertSubject, Duty, Share},
    day::Day,
    review::ReviewAction,
};
use serde_json::{Value, json};

use super::{Ours, Shown, Standing};
use crate::store::reviews::KeptReview;

/// Reasons shown before the rest is only counted.
const REASONS: usize = 5;

/// One line for a list.
pub fn line(shown: &Shown, now_ms: u64) -> String {
    let alert = &shown.alert;
    let received = Day::of_unix_ms(shown.received_ms.cast_signed());
    let (change, tier, duty) = (alert.change, alert.tier, duty(alert.duty));
    format!(
        "{}  {tier}  {change:<6} {received}  {duty}: {} of your records, revision {}, {}",
        alert.id,
        shown.records.len(),
        alert.revision,
        standing(shown, now_ms)
    ) + &not_taken(shown)
}

/// Says that the last answer given here came to nothing.
fn not_taken(shown: &Shown) -> String {
    let refused = shown.review.as_ref().filter(|kept| kept.refused);
    let said = |kept: &KeptReview| {
        let why = kept.problem.as_deref().unwrap_or("it did not say why");
        let answer = in_words(kept.review.action);
        format!("; the answer \"{answer}\" was NOT TAKEN by the coordinator ({why}): answer anew")
    };
    refused.map(said).unwrap_or_default()
}

/// What became of it, in words.
fn standing(shown: &Shown, now_ms: u64) -> String {
    match (shown.standing(), shown.unread_days(now_ms), &shown.review, shown.action_seen) {
        (Standing::Unread, Some(1), ..) => "unread for 1 day".to_owned(),
        (Standing::Unread, Some(days @ 2..), ..) => format!("unread for {days} days"),
        (Standing::Unread, ..) => "unread".to_owned(),
        (Standing::Read, ..) => "read".to_owned(),
        (Standing::Reviewed, _, Some(kept), _) => {
            let arrived = match (kept.sent_ms, &kept.problem) {
                (Some(_), _) => String::new(),
                (None, Some(why)) => format!(" (on its way; so far in vain: {why})"),
                (None, None) => " (on its way)".to_owned(),
            };
            format!("answered: {}{arrived}", in_words(kept.review.action))
        }
        (Standing::ActionSeen, .., Some(day)) => {
            format!("your own records show action on {}", day.in_words())
        }
        (Standing::Withdrawn, ..) => "withdrawn".to_owned(),
        (other, ..) => other.as_str().to_owned(),
    }
}

fn in_words(action: ReviewAction) -> &'static str {
    match action {
        ReviewAction::Acting => "we have it",
        ReviewAction::PassOn => "passed on",
        ReviewAction::AlreadyInHand => "already in hand",
        ReviewAction::NoFurtherAction => "no further action",
        ReviewAction::WrongRecord => "wrong or mixed-up record",
    }
}

/// The same for machines.
pub fn summary(shown: &Shown) -> Value {
    let alert = &shown.alert;
    json!({
        "alert_id": alert.id.to_string(),
        "revision": alert.revision,
        "change": alert.change,
        "tier": alert.tier,
        "duty": alert.duty,
        "as_at": alert.as_at,
        "received_ms": shown.received_ms,
        "state": shown.standing().as_str(),
        "read_ms": shown.read_ms,
        "action": shown.review.as_ref().map(|kept| kept.review.action.as_str()),
        "answer_sent": shown.review.as_ref().map(|kept| kept.sent_ms.is_some()),
        "answer_refused": shown.review.as_ref().map(|kept| kept.refused),
        "answer_problem": shown.review.as_ref().and_then(|kept| kept.problem.as_deref()),
        "action_seen": shown.action_seen,
        "records": shown.records.iter().map(|(feed, key)| json!({ "feed": feed, "key": key }))
            .collect::<Vec<_>>(),
    })
}

/// Everything, for machines.
pub fn whole(shown: &Shown, ours: &[Ours]) -> Value {
    let alert = &shown.alert;
    let mut value = summary(shown);
    let people: Vec<Value> = ours
        .iter()
        .map(|person| {
            let address = Some(&person.address).filter(|_| !alert.hide_address);
            json!({
                "feed": person.feed, "key": person.key, "name": person.name, "born": person.born,
                "address": address,
            })
        })
        .collect();
    let more = json!({
        "people": people,
        "subject": alert.subject,
        "news": alert.news,
        "lines": alert.lines.iter().map(|line| json!({
            "agency": line.agency, "kind": line.kind, "sentence": line.sentence,
            "count": line.count, "latest_month": line.latest_month, "share": line.share,
        })).collect::<Vec<_>>(),
        "rules": alert.rules.iter().map(|rule| json!({
            "id": rule.id, "sentence": rule.sentence, "share": rule.share,
        })).collect::<Vec<_>>(),
        "involved": alert.involved.iter().map(|other| json!({
            "agency": other.agency, "kind": other.kind,
            "service": other.contact.as_ref().map(|contact| &contact.service),
            "role": other.contact.as_ref().map(|contact| &contact.role),
            "phone": other.contact.as_ref().map(|contact| &contact.phone),
        })).collect::<Vec<_>>(),
        "unknowns": alert.unknowns,
        "question": alert.question,
        "link_confidence": alert.link_confidence,
        "limits": alert.limits,
        "model": alert.model_version,
        "hide_address": alert.hide_address,
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

/// The whole letter, for a person.
pub fn text(shown: &Shown, ours: &[Ours]) -> String {
    let alert = &shown.alert;
    let mut out = String::new();
    // Writing to a text cannot fail.
    let _ = write_letter(&mut out, alert, ours);
    if let Some(day) = shown.action_seen {
        let _ = writeln!(out, "\nYour own records show action on {}.", day.in_words());
    } else if let Some(kept) = &shown.review {
        let _ = writeln!(out, "\nAnswered here: {}.", in_words(kept.review.action));
    }
    out
}

fn write_letter(out: &mut String, alert: &Alert, ours: &[Ours]) -> std::fmt::Result {
    let subject = match alert.subject {
        AlertSubject::Household => "A household that you know",
        AlertSubject::Person => "Somebody whom you know",
    };
    let change = match alert.change {
        AlertChange::New => "Rising concern",
        AlertChange::Update => "Concern has changed",
        AlertChange::Cancel => "Withdrawn",
    };
    writeln!(out, "{change}: {subject}. {}. Revision {}.", duty(alert.duty), alert.revision)?;
    writeln!(out)?;
    for person in ours {
        let hidden = alert.hide_address && !person.address.is_empty();
        let address = if hidden { "(address hidden)" } else { person.address.as_str() };
        let parts = [&*person.name, &*person.born, address, &*person.key];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        writeln!(out, "  {}", parts.join(", "))?;
    }
    section(out, "What is new", &alert.news)?;

    if !alert.lines.is_empty() {
        writeln!(out, "\nReasons")?;
    }
    for (number, line) in (1..).zip(alert.lines.iter().take(REASONS)) {
        writeln!(out, "  {number}. {} - {}", line.sentence, share(line.share))?;
    }
    if alert.lines.len() > REASONS {
        writeln!(out, "  and {} smaller reasons", alert.lines.len() - REASONS)?;
    }
    for rule in &alert.rules {
        writeln!(out, "  Together: {} - {}", rule.sentence, share(rule.share))?;
    }
    section(out, "What is not known", &alert.unknowns)?;
    writeln!(out, "  {}", alert.link_confidence)?;

    if !alert.involved.is_empty() {
        writeln!(out, "\nWho else is involved")?;
    }
    for other in &alert.involved {
        let kind = other.kind.in_words();
        match &other.contact {
            Some(desk) => {
                writeln!(out, "  {kind}: {}, {} {}", desk.service, desk.role, desk.phone)?;
            }
            None => writeln!(out, "  {kind} ({})", other.agency)?,
        }
    }
    writeln!(out, "\nTo ask next\n  {}", alert.question)?;
    writeln!(out, "\n{}", alert.limits)
}

fn section(out: &mut String, title: &str, sentences: &[String]) -> std::fmt::Result {
    if sentences.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    sentences.iter().try_for_each(|sentence| writeln!(out, "  {sentence}."))
}

fn duty(duty: Duty) -> &'static str {
    match duty {
        Duty::Lead => "You are asked to lead",
        Duty::Inform => "You are informed",
    }
}

fn share(share: Share) -> &'static str {
    match share {
        Share::Minor => "minor",
        Share::Moderate => "moderate",
        Share::Major => "major",
    }
}
