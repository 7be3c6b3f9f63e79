//! Who is missing, out of date or withholding, and since when: what every alert says it does not know.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::day::Day;

use super::Taking;
use crate::ledger::{Ledger, LedgerError, heard};

/// Remembers up to which day every agency's data reach, and says in words what is not known.
pub async fn unknowns(
    ledger: &Ledger,
    agencies: &[Taking<'_>],
    as_at: Day,
) -> Result<Vec<String>, LedgerError> {
    let mut tx = ledger.begin().await?;
    for agency in agencies.iter().filter(|agency| agency.trouble().is_none()) {
        heard::put(&mut tx, &agency.member.id, reaches(agency, as_at)).await?;
    }
    let heard = heard::all(&mut tx).await?;
    tx.commit().await?;
    Ok(in_words(agencies, &heard, as_at))
}

/// Returns the day of an agency's newest good export; of the sweep, where it names none.
fn reaches(agency: &Taking<'_>, as_at: Day) -> Day {
    let feeds = agency.opened.iter().flat_map(|opened| &opened.feeds);
    feeds.filter_map(|feed| feed.as_at).max().map_or(as_at, |day| day.min(as_at))
}

/// Returns the day of an agency's oldest export that is out of date.
fn stale_since(agency: &Taking<'_>) -> Option<Day> {
    let feeds = agency.opened.iter().flat_map(|opened| &opened.feeds);
    feeds.filter(|feed| feed.stale).filter_map(|feed| feed.as_at).min()
}

fn in_words(agencies: &[Taking<'_>], heard: &BTreeMap<String, Day>, as_at: Day) -> Vec<String> {
    let mut unknowns = Vec::new();
    let in_words = |day: Day| day.min(as_at).in_words();
    for agency in agencies {
        let id = &agency.member.id;
        let name = format!("{} ({id})", agency.member.kind.in_words());
        let last = heard.get(id.as_str()).copied();
        if !agency.is_in() {
            unknowns.push(match last {
                Some(day) => format!("Nothing from {name} since {}", in_words(day)),
                None => format!("Nothing from {name} has ever been part of this"),
            });
        } else if agency.silent.is_some() {
            let day = in_words(reaches(agency, as_at));
            unknowns.push(format!("What {name} holds is of {day}, and it does not answer now"));
        } else if agency.is_stale() {
            unknowns.push(match stale_since(agency) {
                Some(day) => format!("What {name} holds is of {}", in_words(day)),
                None => format!("What {name} holds is not up to date, and it does not say of when"),
            });
        }
    }
    let withholding: BTreeSet<&str> = agencies
        .iter()
        .filter(|a| a.opened.as_ref().is_some_and(|opened| !opened.withheld.is_empty()))
        .map(|agency| agency.member.kind.in_words())
        .collect();
    if !withholding.is_empty() {
        let names: Vec<&str> = withholding.into_iter().collect();
        unknowns.push(format!("Some kinds of record are never shared by {}", names.join(", ")));
    }
    unknowns
}
