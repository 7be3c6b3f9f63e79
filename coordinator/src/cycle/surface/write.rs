//! Writes a revision down: the report, the ledger, a delivery for each recipient, and what nodes shall keep.

use std::collections::BTreeMap;

use causeway_proto::{
    alert::AlertSubject, ids::Handle, ids::LineId, ids::MemoId, review::ReviewAction, sweep::Memo,
    sweep::MemoKind,
};

use super::{Revision, Telling, Verdict};
use crate::{
    alert::Case, alert::Envelope, alert::Holder, alert::size, cycle::CycleError, cycle::continuity,
    cycle::continuity::Continuity, cycle::continuity::Owed, cycle::homes::House, cycle::report,
    cycle::report::AlertReport, cycle::report::RecipientReport, ledger::LedgerError, ledger::Tx,
    ledger::alerts, ledger::alerts::Decided, ledger::outbox, ledger::reviews, ledger::standings,
    ledger::standings::State, route::Routing, route::surfacing::Scoring, route::surfacing::Told,
    score,
};

/// Nodes forget what is kept for an alert after 400 days, unless it is renewed.
const RENEWED_DAYS: i32 = 180;

impl Telling<'_> {
    pub(super) fn report(
        &self,
        house: &House,
        scoring: &Scoring,
        routing: &Routing,
        handles: &BTreeMap<usize, Vec<Handle>>,
        (revision, line_ids): (Revision, &[LineId]),
    ) -> AlertReport {
        let Scoring { scored, alone, .. } = scoring;
        let (model, missing) = (self.cycle.model, self.missing());
        let is_told = |code| !self.agencies.iter().any(|agency| agency.withholds(code));
        let range = score::range(model, &house.events, self.as_at, &missing, is_told);
        let best = score::best_alone(alone).map_or(0.0, |(_, score)| report::number(score));
        let recipients = routing.recipients.iter().map(|recipient| {
            let held = handles
                .iter()
                .find(|(at, _)| self.agencies[**at].member.id.as_str() == &*recipient.agency);
            RecipientReport {
                agency: recipient.agency.parse().expect("it came from an agency"),
                duty: recipient.duty,
                records: held.map_or(0, |(_, handles)| handles.len()),
            }
        });
        let people = self.people(house);
        AlertReport {
            alert_id: revision.id.to_string(),
            revision: revision.number,
            change: revision.change,
            reason: Some(revision.why),
            model: model.version.clone(),
            model_sha256: model.sha256.clone(),
            subject: subject(people),
            people,
            tier: scored.tier,
            score: report::number(scored.score),
            raw: report::number(scored.raw),
            range: [report::number(range.lo), report::number(range.hi)],
            best_single_agency: best,
            agency_alone: alone.iter().map(|(k, score)| (*k, report::number(*score))).collect(),
            lines: report::lines(scored, line_ids),
            interactions: report::rules(scored),
            breadth: scored.breadth,
            recipients: recipients.collect(),
            unknowns: self.unknowns.to_vec(),
            links: self
                .links(house)
                .into_iter()
                .map(|at| report::link(|at| self.agencies[at].member.id.clone(), self.linked, at))
                .collect(),
        }
    }

    /// Writes one revision down.
    pub(super) async fn decide(
        &self,
        tx: &mut Tx,
        report: &AlertReport,
        scoring: &Scoring,
        revision: Revision,
    ) -> Result<(), LedgerError> {
        let decided = Decided {
            id: revision.id,
            revision: revision.number,
            change: revision.change,
            sweep: self.sweep,
            subject: report.subject,
            tier: scoring.scored.tier,
            score_tenths: u32::try_from(scoring.scored.score.count()).unwrap_or(0),
            as_at: self.as_at,
            created_ms: (self.cycle.now_ms)(),
            explanation: serde_json::to_string(report).expect("a report is plain data"),
            reason: revision.why.as_str().to_owned(),
        };
        alerts::put(tx, &decided).await
    }

    /// Decides the deliveries of one revision.
    pub(super) async fn deliver(
        &self,
        tx: &mut Tx,
        house: &House,
        scoring: &Scoring,
        (routing, handles): (&Routing, &BTreeMap<usize, Vec<Handle>>),
        (revision, line_ids, since): (Revision, &[LineId], Option<&Told>),
    ) -> Result<(), CycleError> {
        let holders: Vec<Holder> = handles
            .keys()
            .map(|at| &self.agencies[*at])
            .map(|agency| Holder {
                agency: agency.member.id.clone(),
                kind: agency.member.kind,
                contact: agency.opened.as_ref().and_then(|opened| opened.contact.clone()),
            })
            .collect();
        let weakest = self
            .links(house)
            .into_iter()
            .filter_map(|at| self.linked.decision.bits[at])
            .min_by(f64::total_cmp);
        let case = Case {
            model: self.cycle.model,
            scored: &scoring.scored,
            subject: subject(self.people(house)),
            disclosures: &house.disclosures,
            late: &house.late,
            holders: &holders,
            absent_lead: routing.absent_lead,
            lead_is_away: routing.absent_lead.is_some_and(|kind| self.is_away(kind)),
            unknowns: self.unknowns,
            attached: house.household.members.iter().filter(|m| m.attached).count(),
            weakest_link: weakest,
            line_ids,
            why: revision.why,
            since,
        };
        for recipient in &routing.recipients {
            let held = handles
                .iter()
                .find(|(at, _)| self.agencies[**at].member.id.as_str() == &*recipient.agency);
            let Some((at, own)) = held else { continue };
            let envelope = Envelope {
                id: revision.id,
                revision: revision.number,
                change: revision.change,
                sweep: self.sweep,
                recipient,
                handles: own.clone(),
            };
            let to = &self.agencies[*at].member.id;
            let Some(body) = size::encoded(case.told(envelope)) else {
                tracing::error!(
                    alert.id = %revision.id, agency.id = %to, records = own.len(),
                    "an alert is larger than a message may be, and is not sent to this agency: look for \
                     a fault in the links of its household"
                );
                continue;
            };
            let now_ms = (self.cycle.now_ms)();
            outbox::put(tx, revision.id, revision.number, to, &body, now_ms).await?;
        }
        Ok(())
    }

    /// What nodes have to keep: the alert with each of its records, and reviews. Recipients keep an
    /// alert when it is delivered.
    pub(super) async fn owed(
        &self,
        tx: &mut Tx,
        verdicts: &[Verdict],
        continuity: &mut Continuity,
    ) -> Result<(Owed, Vec<reviews::Received>), CycleError> {
        let unsettled = reviews::unsettled(tx).await?;
        let (mut owed, mut settled) = (Owed::new(), Vec::new());
        for received in unsettled.iter().filter(|received| is_answer(received)) {
            let standing = standings::find(tx, received.review.alert).await?;
            if standing.is_none_or(|standing| standing.state != State::Open) {
                // Nothing follows from it any more.
                reviews::settle(tx, received.review.id).await?;
            }
        }
        for verdict in verdicts {
            let Some(standing) = &verdict.standing else { continue };
            let last = alerts::find(tx, standing.alert).await?.map_or(0, |last| last.revision);
            let told = outbox::reached(tx, standing.alert, last).await?.recipients;
            let pointed_at = self.handles(verdict.house);
            let keeps_it = |agency: usize, handle: Handle| {
                let own = pointed_at.get(&agency).is_some_and(|own| own.contains(&handle));
                own && told.contains(&self.agencies[agency].member.id)
            };
            let mine: Vec<_> = unsettled
                .iter()
                .filter(|received| received.review.alert == standing.alert)
                .filter(|received| is_answer(received))
                .collect();
            settled.extend(mine.iter().map(|received| (*received).clone()));
            for (agency, handle) in self.members(&self.houses[verdict.house]) {
                let id = MemoId::from_bytes(*standing.alert.as_bytes());
                let alert = Memo {
                    kind: MemoKind::Alert,
                    id,
                    handle,
                    score_tenths: 0,
                    made: standing.told.day,
                };
                match continuity.kept_days((agency, handle), standing.alert, self.as_at) {
                    None if keeps_it(agency, handle) => continuity.note(agency, alert),
                    None => owed.entry(agency).or_default().push(alert),
                    Some(RENEWED_DAYS..) => {
                        owed.entry(agency).or_default().push(Memo { made: self.as_at, ..alert });
                    }
                    Some(_) => {}
                }
                for received in mine.iter().take(1) {
                    owed.entry(agency).or_default().push(Memo {
                        kind: MemoKind::Reviewed,
                        id,
                        handle,
                        score_tenths: received.score_tenths,
                        made: received.review.day,
                    });
                }
            }
        }
        Ok((owed, settled))
    }

    pub(super) async fn keep(
        &self,
        continuity: &mut Continuity,
        owed: Owed,
        settled: &[reviews::Received],
    ) -> Result<(), CycleError> {
        let all = continuity::keep(self.cycle, self.sweep, self.agencies, continuity, owed).await;
        if !all || settled.is_empty() {
            return Ok(());
        }
        let mut tx = self.cycle.ledger.begin().await?;
        for received in settled {
            reviews::settle(&mut tx, received.review.id).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Returns whether a review is no dispute: those are settled elsewhere, whatever becomes of the alert.
fn is_answer(received: &reviews::Received) -> bool {
    received.review.action != ReviewAction::WrongRecord
}

fn subject(people: usize) -> AlertSubject {
    if people == 1 { AlertSubject::Person } else { AlertSubject::Household }
}
