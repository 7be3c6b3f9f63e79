//! Takes back what no longer stands, closes what has faded, and reminds where nobody answers.

use causeway_proto::{alert::AlertChange, alert::Duty, ids::AgencyId, pb};
use prost::Message;

use super::{Revision, Telling, Verdict};
use crate::{
    alert, cycle::CycleError, cycle::continuity::Continuity, cycle::report::AlertReport,
    cycle::report::RecipientReport, ledger::LedgerError, ledger::Tx, ledger::alerts,
    ledger::alerts::Decided, ledger::outbox, ledger::standings, ledger::standings::Standing,
    ledger::standings::State, route::surfacing, route::surfacing::Scoring, route::surfacing::Told,
    route::surfacing::Why,
};

impl Telling<'_> {
    /// Takes an alert back whose records are nowhere any more, where all agree that they are not.
    pub(super) async fn recall(
        &self,
        tx: &mut Tx,
        standing: Standing,
    ) -> Result<Option<AlertReport>, CycleError> {
        // A look back in time knows less; nor is anything taken back because somebody is silent.
        let is_back_in_time = self.as_at.since(standing.told.basis.as_at) < 0;
        if is_back_in_time || !self.all_in(&standing.holders) {
            return Ok(None);
        }
        // Who holds records and has not got it yet could not hand it back.
        let waits_for = outbox::on_its_way_to(tx, standing.alert).await?;
        if standing.holders.iter().any(|holder| waits_for.contains(holder)) {
            return Ok(None);
        }
        let (model, told) = (self.cycle.model, &standing.told);
        if told.basis.has_grown_old(model, self.as_at) {
            // It has faded, as all things do; nobody took anything back.
            if self.as_at.since(told.day) > model.surfacing.quiet_days {
                standings::put(tx, &Standing { state: State::Closed, ..standing }).await?;
            }
            return Ok(None);
        }
        self.cancel(tx, standing, Why::Gone).await
    }

    /// Takes an alert back everywhere.
    pub(super) async fn cancel(
        &self,
        tx: &mut Tx,
        standing: Standing,
        why: Why,
    ) -> Result<Option<AlertReport>, CycleError> {
        let Some(last) = alerts::find(tx, standing.alert).await? else { return Ok(None) };
        let number = last.revision + 1;
        let revision = Revision { id: last.id, number, change: AlertChange::Cancel, why };
        let ever = outbox::told(tx, last.id).await?;
        let earlier: AlertReport =
            serde_json::from_str(&last.explanation).map_err(|_| LedgerError::Corrupt("report"))?;
        let recipients = ever.iter().map(|agency| RecipientReport {
            agency: agency.clone(),
            duty: Duty::Inform,
            records: 0,
        });
        let report = AlertReport {
            revision: number,
            change: AlertChange::Cancel,
            reason: Some(why),
            model: self.cycle.model.version.clone(),
            model_sha256: self.cycle.model.sha256.clone(),
            // Nothing is left that points could come from.
            raw: 0.0,
            breadth: 0,
            lines: Vec::new(),
            interactions: Vec::new(),
            links: Vec::new(),
            recipients: recipients.collect(),
            ..earlier
        };
        let decided = Decided {
            revision: number,
            change: AlertChange::Cancel,
            sweep: self.sweep,
            as_at: self.as_at,
            created_ms: (self.cycle.now_ms)(),
            explanation: serde_json::to_string(&report).expect("a report is plain data"),
            reason: why.as_str().to_owned(),
            ..last
        };
        alerts::put(tx, &decided).await?;
        for agency in &ever {
            self.withdraw(tx, agency, &report, revision).await?;
        }
        standings::put(tx, &Standing { state: State::Cancelled, ..standing }).await?;
        Ok(Some(report))
    }

    /// Decides the delivery of a withdrawal to one agency.
    pub(super) async fn withdraw(
        &self,
        tx: &mut Tx,
        agency: &AgencyId,
        report: &AlertReport,
        revision: Revision,
    ) -> Result<(), CycleError> {
        let withdrawal = alert::withdrawal(
            (revision.id, revision.number, self.sweep),
            (report.subject, report.tier, self.as_at),
            &self.cycle.model.version,
        );
        let body = pb::Alert::from(withdrawal).encode_to_vec();
        let now_ms = (self.cycle.now_ms)();
        Ok(outbox::put(tx, revision.id, revision.number, agency, &body, now_ms).await?)
    }

    /// Remembers until when that is told which an alert rests on: a state that was open may have ended, or
    /// an event have been corrected.
    pub(super) async fn grow_older(
        &self,
        tx: &mut Tx,
        verdict: &mut Verdict,
        continuity: &Continuity,
    ) -> Result<(), LedgerError> {
        let Some(standing) = &mut verdict.standing else { return Ok(()) };
        let house = &self.houses[verdict.house];
        let is_whole = self.silent(&standing.holders).is_empty()
            && self.is_whole(standing.alert, house, continuity);
        let basis = &mut standing.told.basis;
        // A look back in time sees less.
        let is_seen = is_whole && self.as_at >= basis.as_at;
        let now = house.ages(basis.as_at);
        let ages = match is_seen {
            true => basis.ages.seen(&now, self.as_at),
            // What is not there may be because somebody is silent.
            false => basis.ages.and(&now),
        };
        if ages != basis.ages {
            basis.ages = ages;
            standings::put(tx, standing).await?;
        }
        Ok(())
    }

    /// Sees to an open alert that brings no news: whether somebody acts, and whether nobody answers.
    /// Returns whether everybody was reminded.
    pub(super) async fn attend(
        &self,
        tx: &mut Tx,
        verdict: &mut Verdict,
        scoring: &Scoring,
    ) -> Result<bool, CycleError> {
        let Some(standing) = &mut verdict.standing else { return Ok(false) };
        if standing.action_seen.is_none() {
            let ever = outbox::told(tx, standing.alert).await?;
            let first = alerts::revision(tx, standing.alert, 1).await?.map(|first| first.as_at);
            let acts = self.houses[verdict.house].events.iter().filter(|event| {
                event.code.shows_action()
                    && first.is_some_and(|first| event.start > first)
                    && ever.iter().any(|agency| *agency.as_str() == *event.agency)
            });
            if let Some(day) = acts.map(|event| event.start).min() {
                standing.action_seen = Some(day);
                standings::put(tx, standing).await?;
            }
        }
        let waits = !standing.reminded && standing.action_seen.is_none();
        if !waits || !surfacing::is_unanswered(self.cycle.model, &standing.told, self.as_at) {
            return Ok(false);
        }
        let told = standing.told.clone();
        let revision = self.next(tx, standing.alert, Why::Unanswered).await?;
        let (_, reminded) = self.tell(tx, verdict, scoring, revision).await?;
        // What was told, and when, is what it was.
        let told = Told { basis: reminded.told.basis.clone(), ..told };
        let reminded = Standing { told, ..reminded };
        standings::put(tx, &reminded).await?;
        verdict.standing = Some(reminded);
        Ok(true)
    }
}
