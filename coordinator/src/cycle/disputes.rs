//! A professional said that a line belongs to somebody else: the records behind it are taken out of the
//! household and kept apart from the others for good.
//!
//! Before anything surfaces. The nodes keep the finding with their own records and hand it back in every
//! later sweep; the ledger knows only that an alert's line was disputed. While a node cannot keep its
//! part, or one whose records are disputed is away, the dispute stays unsettled and is applied again.

use causeway_proto::{
    day::Day,
    ids::{AgencyId, AlertId, MemoId, SweepId},
    review::ReviewAction,
    sweep::{Memo, MemoKind},
};

use super::{
    Cycle, CycleError, Linked, Taking,
    continuity::{self, Continuity, Owed},
    homes::{House, Houses},
    report::{AlertReport, LineReport, line_name},
    surface::random_id,
};
use crate::{
    ledger::{alerts, reviews},
    link::{Apart, decide},
};

/// Of a record of which so much was found already, nodes are asked to keep no more: a node keeps 64 findings with
/// one person, and those of their alerts are among them.
const MOST_FINDINGS: usize = 32;

/// Applies every dispute that is not settled. Returns the records that were taken out and those that they
/// were found not to belong with: linking has to be done again where they are.
pub async fn settle(
    cycle: &Cycle<'_>,
    (sweep, as_at): (SweepId, Day),
    agencies: &[Taking<'_>],
    (linked, houses): (&mut Linked, &mut Houses),
    continuity: &mut Continuity,
) -> Result<Vec<u32>, CycleError> {
    let mut tx = cycle.ledger.begin().await?;
    let mut open = Vec::new();
    for received in reviews::unsettled(&mut tx).await? {
        if received.review.action == ReviewAction::WrongRecord {
            let (id, revision) = (received.review.alert, received.review.revision);
            let told = alerts::revision(&mut tx, id, revision).await?;
            open.push((received, told));
        }
    }
    drop(tx);
    let mut touched = Vec::new();
    for (received, told) in open {
        let report = told.and_then(|told| serde_json::from_str(&told.explanation).ok());
        let line = report.zip(received.review.line).and_then(|(report, line)| {
            let AlertReport { lines, .. } = report;
            lines.into_iter().find(|known| known.line == line_name(line))
        });
        let house = house_of(received.review.alert, agencies, linked, houses, continuity);
        let (Some(line), Some(house)) = (line, house) else { continue };
        let wrong = behind(&line, house, agencies, linked);
        let mut owed = Owed::new();
        // Each try that one of the nodes refuses leaves half a finding with the other.
        let known = |record: &u32| {
            let (agency, handle) = (linked.records.agency(*record), linked.records.handle(*record));
            continuity.findings(agency, handle).len()
        };
        let is_full = wrong.iter().any(|record| known(record) >= MOST_FINDINGS);
        if is_full {
            let id = received.review.alert;
            tracing::warn!(alert.id = %id, "a dispute holds in this sweep, and a node keeps failing to keep it");
        }
        for record in &wrong {
            for other in house.household.members.iter().map(|member| member.record) {
                if linked.records.agency(other) != linked.records.agency(*record)
                    && !wrong.contains(&other)
                    && !linked.records.is_stranger(*record, other)
                {
                    let finding = MemoId::from_bytes(random_id()?);
                    touched.push(other);
                    for (which, stranger) in [(*record, true), (other, false)] {
                        linked.records.add_apart(which, Apart { finding, stranger });
                        if is_full {
                            continue;
                        }
                        owed.entry(linked.records.agency(which)).or_default().push(Memo {
                            kind: MemoKind::NotLinked,
                            id: finding,
                            handle: linked.records.handle(which),
                            score_tenths: u32::from(stranger),
                            made: as_at,
                        });
                    }
                }
            }
        }
        if !wrong.is_empty() {
            tracing::info!(alert.id = %received.review.alert, records = wrong.len(), "a line is disputed");
        }
        touched.extend(wrong);
        let is_kept = continuity::keep(cycle, sweep, agencies, continuity, owed).await;
        if is_kept && !is_full && are_here(&line, agencies) {
            let mut tx = cycle.ledger.begin().await?;
            reviews::settle(&mut tx, received.review.id).await?;
            tx.commit().await?;
        }
    }
    if !touched.is_empty() {
        take_out(agencies, linked, houses);
    }
    Ok(decide::in_order(touched.into_iter()))
}

/// The house that most records of an alert belong to.
fn house_of<'a>(
    alert: AlertId,
    agencies: &[Taking<'_>],
    linked: &Linked,
    houses: &'a Houses,
    continuity: &Continuity,
) -> Option<&'a House> {
    let records = |house: &House| {
        let members = house.household.members.iter().filter(|member| {
            let agency = linked.records.agency(member.record);
            let handle = linked.records.handle(member.record);
            agencies[agency].is_in() && continuity.alerts(agency, handle).any(|id| id == alert)
        });
        members.count()
    };
    let counted = houses.worth.iter().map(|house| (records(house), house));
    counted.filter(|(records, _)| *records > 0).max_by_key(|(records, _)| *records).map(|(_, h)| h)
}

/// The records that a line rests on.
fn behind(line: &LineReport, house: &House, agencies: &[Taking<'_>], linked: &Linked) -> Vec<u32> {
    let members = house.household.members.iter().filter(|member| {
        let agency: &AgencyId = &agencies[linked.records.agency(member.record)].member.id;
        let of_line = |event: &crate::score::Event| {
            event.code == line.code
                && event.person == member.person
                && *event.agency == *agency.as_str()
        };
        line.reporters.contains(agency) && house.events.iter().any(of_line)
    });
    members.map(|member| member.record).collect()
}

/// Returns whether everybody takes part whose records a line rests on. Of whoever is away nothing was
/// found, and it comes back with a record that is as wrong as before.
fn are_here(line: &LineReport, agencies: &[Taking<'_>]) -> bool {
    let is_here = |agency: &&Taking<'_>| agency.is_in() && agency.silent.is_none();
    let here: Vec<&AgencyId> =
        agencies.iter().filter(is_here).map(|agency| &agency.member.id).collect();
    line.reporters.iter().all(|reporter| here.contains(&reporter))
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
