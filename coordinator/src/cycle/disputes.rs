//! A professional said that a line belongs to somebody else: the records behind it are taken out of the
//! household and kept apart from the others for good.
//!
//! Before anything surfaces. The nodes keep the finding with their own records and hand it back in every
//! later sweep; the ledger knows only that an alert's line was disputed. While a node cannot keep its
//! part, or nobody knows which record a line rests on, the dispute stays unsettled and is applied again.

mod finding;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use causeway_proto::{
    day::Day,
    ids::{AgencyId, AlertId, Handle, SweepId},
    review::{Review, ReviewAction},
};

use self::finding::{Dispute, Sides};
use super::{
    Cycle, CycleError, Linked, Taking,
    continuity::{self, Continuity},
    homes::{House, Houses},
    report::{AlertReport, LineReport, line_name},
};
use crate::{
    ledger::{alerts, reviews},
    link::{Records, decide},
};

/// An agency that says of more records than this that one alert is about them is not believed: no household has
/// so many.
const MOST_SUBJECTS: usize = 64;

/// Applies every dispute that is not settled. Returns the records that were taken out and those that they
/// were found not to belong with: linking has to be done again where they are.
pub async fn settle(
    cycle: &Cycle<'_>,
    (sweep, as_at): (SweepId, Day),
    agencies: &[Taking<'_>],
    (linked, houses): (&mut Linked, &mut Houses),
    continuity: &mut Continuity,
) -> Result<Vec<u32>, CycleError> {
    let mut touched = Vec::new();
    for (review, line) in unsettled(cycle).await? {
        let dispute = Dispute::of(review.id, agencies);
        let subjects = subjects(review.alert, agencies, &linked.records, continuity);
        let behind = behind(&line, &subjects, &houses.worth, agencies, &linked.records);
        let known = dispute.sides(&linked.records);
        let (wrong, others) = sides(known, &subjects, behind, &linked.records);
        let apart = dispute.keep_apart(&mut linked.records, &wrong, &others)?;
        if !apart.is_empty() {
            tracing::info!(alert.id = %review.alert, records = wrong.len(), "a line is disputed");
            touched.extend(apart.into_iter().chain(wrong));
        }
        let owed = dispute.owed(&linked.records, continuity, as_at);
        let is_kept = continuity::keep(cycle, sweep, agencies, continuity, owed).await;
        let now = dispute.sides(&linked.records);
        let mut unsaid = now.others_unsaid.iter().map(|at| &agencies[*at]);
        if is_kept && now.is_applied() && are_here(&line, agencies) && unsaid.all(is_here) {
            let mut tx = cycle.ledger.begin().await?;
            reviews::settle(&mut tx, review.id).await?;
            tx.commit().await?;
        }
    }
    if !touched.is_empty() {
        take_out(agencies, linked, houses);
    }
    Ok(decide::in_order(touched.into_iter()))
}

/// Every dispute that is not settled, with the line that it is about.
async fn unsettled(cycle: &Cycle<'_>) -> Result<Vec<(Review, LineReport)>, CycleError> {
    let mut tx = cycle.ledger.begin().await?;
    let mut open = Vec::new();
    for received in reviews::unsettled(&mut tx).await? {
        let review = received.review;
        if review.action != ReviewAction::WrongRecord {
            continue;
        }
        let told = alerts::revision(&mut tx, review.alert, review.revision).await?;
        let report = told.and_then(|told| serde_json::from_str(&told.explanation).ok());
        let line = report.zip(review.line).and_then(|(report, line)| {
            let AlertReport { lines, .. } = report;
            lines.into_iter().find(|known| known.line == line_name(line))
        });
        match line {
            Some(line) => open.push((review, line)),
            // What was told stays as it is, and so the line is never found.
            None => {
                tracing::warn!(
                    alert.id = %review.alert, agency.id = %received.agency,
                    "a line is disputed that the alert does not have"
                );
                reviews::settle(&mut tx, review.id).await?;
            }
        }
    }
    tx.commit().await?;
    Ok(open)
}

/// The records that nodes say an alert is about.
fn subjects(
    alert: AlertId,
    agencies: &[Taking<'_>],
    records: &Records,
    continuity: &Continuity,
) -> BTreeSet<u32> {
    let mut handles: BTreeMap<usize, HashSet<Handle>> = BTreeMap::new();
    for (agency, handle) in continuity.subjects(alert) {
        handles.entry(agency).or_default().insert(handle);
    }
    let mut subjects = BTreeSet::new();
    for (agency, handles) in handles {
        if agencies[agency].is_in() {
            let mine = records.find(agency, &handles);
            if mine.len() <= MOST_SUBJECTS {
                subjects.extend(mine.into_values());
            }
        }
    }
    subjects
}

/// The subjects of an alert that a line rests on, wherever they are counted now.
fn behind(
    line: &LineReport,
    subjects: &BTreeSet<u32>,
    houses: &[House],
    agencies: &[Taking<'_>],
    records: &Records,
) -> BTreeSet<u32> {
    let mut behind = BTreeSet::new();
    for house in houses {
        let mine = house.household.members.iter().filter(|member| {
            let agency: &AgencyId = &agencies[records.agency(member.record)].member.id;
            let of_line = |event: &crate::score::Event| {
                event.code == line.code
                    && event.person == member.person
                    && *event.agency == *agency.as_str()
            };
            subjects.contains(&member.record)
                && line.reporters.contains(agency)
                && house.events.iter().any(of_line)
        });
        behind.extend(mine.map(|member| member.record));
    }
    behind
}

/// Returns who does not belong, and with whom. Whom the dispute was applied to it stays about: what has become of
/// the line since is no reason to look for others.
fn sides(
    known: Sides,
    subjects: &BTreeSet<u32>,
    behind: BTreeSet<u32>,
    records: &Records,
) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let Sides { mut wrong, others, wrong_unsaid, others_unsaid } = known;
    let is_new = wrong.is_empty() && others.is_empty();
    let (agency, before) = (|record: &u32| records.agency(*record), wrong.len());
    let behind = behind.into_iter().filter(|record| {
        is_new || wrong_unsaid.contains(&agency(record)) && !others.contains(record)
    });
    wrong.extend(behind);
    let is_found_now = wrong.len() > before;
    let belongs = |record: &&u32| {
        let is_stranger = subjects.iter().any(|other| records.is_stranger(**record, *other));
        let is_asked = is_found_now || others_unsaid.contains(&agency(record));
        is_asked && !is_stranger && !wrong.contains(record)
    };
    let others = subjects.iter().filter(belongs).copied().collect();
    (wrong, others)
}

/// Returns whether everybody takes part whose records a line rests on. Of whoever is away nothing was
/// found, and it comes back with a record that is as wrong as before.
fn are_here(line: &LineReport, agencies: &[Taking<'_>]) -> bool {
    let here = agencies.iter().filter(|agency| is_here(agency));
    let here: Vec<&AgencyId> = here.map(|agency| &agency.member.id).collect();
    line.reporters.iter().all(|reporter| here.contains(&reporter))
}

fn is_here(agency: &Taking<'_>) -> bool {
    agency.is_in() && agency.silent.is_none()
}

/// Takes records and what they say out of every house where they are strangers.
fn take_out(agencies: &[Taking<'_>], linked: &Linked, houses: &mut Houses) {
    for house in &mut houses.worth {
        let records = &linked.records;
        let gone =
            house.household.leave_out_strangers(|one, other| records.is_stranger(one, other));
        house.events.retain(|event| {
            !gone.iter().any(|member| {
                let agency = &agencies[records.agency(member.record)].member.id;
                member.person == event.person && *event.agency == *agency.as_str()
            })
        });
    }
}
