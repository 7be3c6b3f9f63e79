//! A professional said that a line belongs to somebody else: the records behind it are taken out of the
//! household and kept apart from the others for good.
//!
//! Before anything surfaces. The nodes keep the finding with their own records and hand it back in every
//! later sweep; the ledger knows only that an alert's line was disputed. While a node cannot keep its
//! part, or one whose records are disputed is away, the dispute stays unsettled and is applied again.

mod finding;

use causeway_proto::{
    day::Day,
    ids::{AgencyId, AlertId, SweepId},
    review::ReviewAction,
};

use self::finding::Dispute;
use super::{
    Cycle, CycleError, Linked, Taking,
    continuity::{self, Continuity},
    homes::{House, Houses},
    report::{AlertReport, LineReport, line_name},
};
use crate::{
    ledger::{alerts, reviews},
    link::decide,
};

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
        let Some(line) = line else { continue };
        let dispute = Dispute::of(received.review.id, agencies);
        match house_of(received.review.alert, agencies, linked, houses, continuity) {
            Some(house) => {
                let wrong = behind(&line, house, agencies, linked);
                if !wrong.is_empty() {
                    let id = received.review.alert;
                    tracing::info!(alert.id = %id, records = wrong.len(), "a line is disputed");
                }
                let others = house.household.members.iter().map(|member| member.record);
                let others: Vec<u32> = others.filter(|record| !wrong.contains(record)).collect();
                touched.extend(dispute.keep_apart(&mut linked.records, &wrong, &others)?);
                touched.extend(wrong);
            }
            // It fell apart when the dispute was applied, and a node could not keep its part.
            None if dispute.is_applied(&linked.records) => {}
            None => continue,
        }
        let owed = dispute.owed(&linked.records, continuity, as_at);
        let is_kept = continuity::keep(cycle, sweep, agencies, continuity, owed).await;
        if is_kept && are_here(&line, agencies) {
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
