//! Tells a household's recipients of one revision of its alert.

use std::collections::BTreeSet;

use causeway_proto::{
    alert::{AlertChange, Duty},
    ids::{AgencyId, AlertId, LineId},
};

use super::{Revision, Telling, Verdict, random_id};
use crate::{
    cycle::{CycleError, homes::House, report::AlertReport},
    ledger::{
        Tx, alerts, outbox,
        standings::{self, Standing, State},
    },
    link::rekey::NoRandomness,
    route::{
        Recipient,
        surfacing::{Basis, Decision, Scoring, Told, Why},
    },
    score::Scored,
};

impl Telling<'_> {
    /// Decides one household's revision and its deliveries, in the caller's transaction.
    pub(super) async fn issue(
        &self,
        tx: &mut Tx,
        verdict: &Verdict,
        scoring: &Scoring,
    ) -> Result<(Option<AlertReport>, Option<Standing>), CycleError> {
        let before = verdict.standing.clone();
        let revision = match (verdict.decision, &before) {
            (Decision::Close, Some(standing)) => {
                let closed = Standing { state: State::Closed, ..standing.clone() };
                standings::put(tx, &closed).await?;
                return Ok((None, None));
            }
            (Decision::Cancel(why), Some(standing)) => {
                return Ok((self.cancel(tx, standing.clone(), why).await?, None));
            }
            (Decision::New(why), _) => {
                let id = AlertId::from_bytes(random_id()?);
                Revision { id, number: 1, change: AlertChange::New, why }
            }
            (Decision::Update(why), Some(standing)) => self.next(tx, standing.alert, why).await?,
            _ => return Ok((None, before)),
        };
        self.tell(tx, verdict, scoring, revision).await.map(|(r, s)| (Some(r), Some(s)))
    }

    /// The next revision of an alert.
    pub(super) async fn next(
        &self,
        tx: &mut Tx,
        id: AlertId,
        why: Why,
    ) -> Result<Revision, CycleError> {
        let last = alerts::find(tx, id).await?.map_or(0, |last| last.revision);
        let change = match why {
            Why::Gone => AlertChange::Cancel,
            _ => AlertChange::Update,
        };
        Ok(Revision { id, number: last + 1, change, why })
    }

    /// Tells a household's recipients, and whoever was told before where something is taken back.
    pub(super) async fn tell(
        &self,
        tx: &mut Tx,
        verdict: &Verdict,
        scoring: &Scoring,
        revision: Revision,
    ) -> Result<(AlertReport, Standing), CycleError> {
        let house = &self.houses[verdict.house];
        let handles = self.handles(verdict.house);
        let ever = outbox::told(tx, revision.id).await?;
        let mut routing = verdict.routing.clone();
        if matches!(revision.why, Why::Withdrawn | Why::Unanswered) {
            let held = handles.keys().map(|at| self.agencies[*at].member);
            for member in held.filter(|member| ever.contains(&member.id)) {
                if routing.recipients.iter().all(|r| *r.agency != *member.id.as_str()) {
                    routing.recipients.push(Recipient {
                        agency: member.id.as_str().into(),
                        kind: member.kind,
                        duty: Duty::Inform,
                        reasons: Vec::new(),
                        question: "Does what you did still rest on what is left?".to_owned(),
                    });
                }
            }
        }
        let line_ids = line_ids(&scoring.scored)?;
        let since = verdict.standing.as_ref().map(|standing| &standing.told);
        let report = self.report(house, scoring, &routing, &handles, (revision, &line_ids));
        self.decide(tx, &report, scoring, revision).await?;
        self.deliver(tx, house, scoring, (&routing, &handles), (revision, &line_ids, since))
            .await?;
        if revision.why == Why::Withdrawn {
            let still: Vec<&str> = routing.recipients.iter().map(|r| &*r.agency).collect();
            // Who is away hears so when it is back.
            let hears =
                |id: &&AgencyId| !still.contains(&id.as_str()) && self.all_in(&[(*id).clone()]);
            for gone in ever.iter().filter(hears) {
                self.withdraw(tx, gone, &report, revision).await?;
            }
        }

        let basis = Basis::of(&scoring.scored, house.ages(self.as_at));
        let told = Told {
            day: self.as_at,
            score: scoring.scored.score,
            rules: basis.rules.clone(),
            severe: scoring.severe.clone(),
            basis,
            unheard: self.unheard(&ever, revision, since),
            away: self.away(),
            review: since.and_then(|told| told.review),
        };
        let before = verdict.standing.clone();
        let action_seen = before.as_ref().and_then(|standing| standing.action_seen);
        let standing = Standing {
            alert: revision.id,
            state: State::Open,
            told: match before {
                // What was withdrawn is no measure of what is news.
                Some(before) if revision.why != Why::Withdrawn => before.told.and(told),
                _ => told,
            },
            holders: self.holders(house),
            reminded: revision.why == Why::Unanswered,
            action_seen,
        };
        standings::put(tx, &standing).await?;
        Ok((report, standing))
    }

    /// Tells those with a duty who were away when the others were told. Nobody else hears of it, and what is news
    /// to the others stays what it was.
    pub(super) async fn tell_who_was_away(
        &self,
        tx: &mut Tx,
        verdict: &mut Verdict,
        scoring: &Scoring,
    ) -> Result<Option<AlertReport>, CycleError> {
        let Some(standing) = verdict.standing.clone().filter(|s| !s.told.away.is_empty()) else {
            return Ok(None);
        };
        let ever = outbox::told(tx, standing.alert).await?;
        let mut routing = verdict.routing.clone();
        routing.recipients.retain(|recipient| {
            standing.told.away.contains(&*recipient.agency)
                && ever.iter().all(|id| *id.as_str() != *recipient.agency)
        });
        if routing.recipients.is_empty() {
            return Ok(None);
        }
        let back: BTreeSet<String> =
            routing.recipients.iter().map(|recipient| recipient.agency.to_string()).collect();
        let (house, decision) = (verdict.house, verdict.decision);
        let few = Verdict { house, standing: verdict.standing.clone(), routing, decision };
        let revision = self.next(tx, standing.alert, Why::WasAway).await?;
        let (report, now) = self.tell(tx, &few, scoring, revision).await?;
        let told = Told {
            basis: now.told.basis.clone(),
            away: standing.told.away.difference(&back).cloned().collect(),
            ..standing.told
        };
        let standing = Standing { told, reminded: standing.reminded, ..now };
        standings::put(tx, &standing).await?;
        verdict.standing = Some(standing);
        Ok(Some(report))
    }

    /// Who is away, and cannot be told of anything.
    fn away(&self) -> BTreeSet<String> {
        let away = self.agencies.iter().filter(|agency| !agency.is_in());
        away.map(|agency| agency.member.id.as_str().to_owned()).collect()
    }

    /// Who holds a record in a house, also of somebody who moved out: what they say of before still counts.
    fn holders(&self, house: &House) -> Vec<AgencyId> {
        let holders: BTreeSet<usize> = self.members(house).map(|(agency, _)| agency).collect();
        holders.into_iter().map(|at| self.agencies[at].member.id.clone()).collect()
    }

    /// Who is still to hear of what was withdrawn.
    fn unheard(
        &self,
        ever: &[AgencyId],
        revision: Revision,
        since: Option<&Told>,
    ) -> BTreeSet<String> {
        let known = since.map(|told| told.unheard.clone()).unwrap_or_default();
        match revision.why {
            Why::Withdrawn => {
                let away = ever.iter().filter(|id| !self.all_in(&[(*id).clone()]));
                away.map(|id| id.as_str().to_owned()).collect()
            }
            _ => known,
        }
    }
}

fn line_ids(scored: &Scored) -> Result<Vec<LineId>, NoRandomness> {
    scored.lines.iter().map(|_| random_id().map(LineId::from_bytes)).collect()
}
