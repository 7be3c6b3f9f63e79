//! Scores households, decides which few are told to whom and what is taken back, and writes it all
//! down at once.
//!
//! May be called again and again while a sweep is open: what was told stands in the ledger by alert,
//! what belongs to which record in [`Continuity`], and only news is issued. [`scorings`] is pure, so
//! that a live pass scores again only what was touched.

use std::{collections::BTreeMap, time::Instant};

use causeway_proto::{
    alert::{AlertChange, AlertSubject, Duty},
    catalogue::AgencyKind,
    day::Day,
    ids::{AgencyId, AlertId, Handle, LineId, MemoId, SweepId},
    pb,
    review::ReviewAction,
    sweep::{Memo, MemoKind},
};
use prost::Message;
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    Cycle, CycleError, Linked, Taking,
    continuity::{self, Continuity, Owed},
    homes::{House, Houses},
    progress::Step,
    report::{self, AlertReport, RecipientReport, Seconds},
    unknowns::unknowns,
};
use crate::{
    alert::{self, Case, Envelope, Holder},
    ledger::{
        LedgerError, Tx,
        alerts::{self, Decided},
        outbox, reviews,
        standings::{self, Standing, State},
    },
    link::rekey::NoRandomness,
    route::{
        self, Recipient, Routing,
        surfacing::{self, Basis, Candidate, Capacity, Decision, Reviewed, Scoring, Told, Why},
    },
    score::{self, Scored, Tenths, surface::Rank},
};

/// What surfacing came to.
#[derive(Debug)]
pub struct Surfaced {
    /// What was issued, most pressing first.
    pub alerts: Vec<AlertReport>,
    /// How many alerts everybody was reminded of.
    pub reminders: usize,
    /// The places of the week.
    pub capacity: Capacity,
}

/// Scores, routes and records everything.
pub async fn surface(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    as_at: Day,
    agencies: &[Taking<'_>],
    (linked, houses): (&Linked, &Houses),
    continuity: &mut Continuity,
    seconds: &mut Seconds,
) -> Result<Surfaced, CycleError> {
    let began = Instant::now();
    let all = houses.worth.len() as u64;
    let scorings = scorings(cycle, as_at, agencies, &houses.worth);
    let unknowns = unknowns(cycle.ledger, agencies, as_at).await?;
    let houses = &houses.worth;
    let told = Telling { cycle, sweep, as_at, agencies, linked, houses, unknowns: &unknowns };
    let surfaced = told.surface(&scorings, continuity).await?;
    seconds.score = began.elapsed().as_secs_f64();
    cycle.progress.step(Step::Score, None, all, all);
    Ok(surfaced)
}

/// Scores every house, one by one, in their order.
pub fn scorings(
    cycle: &Cycle<'_>,
    as_at: Day,
    agencies: &[Taking<'_>],
    houses: &[House],
) -> Vec<Scoring> {
    let fresh = |kind| is_fresh(agencies, kind);
    houses.iter().map(|house| Scoring::of(cycle.model, &house.events, as_at, fresh)).collect()
}

/// Returns whether everybody of a kind of agency takes part with exports that are up to date.
pub fn is_fresh(agencies: &[Taking<'_>], kind: AgencyKind) -> bool {
    agencies.iter().filter(|a| a.member.kind == kind).all(|a| a.is_in() && !a.is_stale())
}

/// What every alert of this sweep needs.
pub struct Telling<'a> {
    /// The pass.
    pub cycle: &'a Cycle<'a>,
    /// The open sweep.
    pub sweep: SweepId,
    /// The day it speaks of.
    pub as_at: Day,
    /// The agencies.
    pub agencies: &'a [Taking<'a>],
    /// Who is who.
    pub linked: &'a Linked,
    /// Where several agencies see harm.
    pub houses: &'a [House],
    /// Who is missing, stale or withholding, in words.
    pub unknowns: &'a [String],
}

/// What is to become of one household.
struct Verdict {
    /// Which of the houses.
    house: usize,
    /// The alert it has, if any.
    standing: Option<Standing>,
    routing: Routing,
    decision: Decision,
}

/// One revision in the making.
#[derive(Clone, Copy)]
struct Revision {
    id: AlertId,
    number: u32,
    change: AlertChange,
    why: Why,
}

impl Telling<'_> {
    /// Decides over all houses, and issues what is news.
    pub async fn surface(
        &self,
        scorings: &[Scoring],
        continuity: &mut Continuity,
    ) -> Result<Surfaced, CycleError> {
        let mut tx = self.cycle.ledger.begin().await?;
        let mut open = self.open_alerts(&mut tx).await?;
        let lodged = self.lodge(scorings, continuity, &open);
        let mut verdicts: Vec<Verdict> = Vec::new();
        for (house, scoring) in scorings.iter().enumerate() {
            let mut alerts: Vec<Standing> = Vec::new();
            for (id, _) in lodged.iter().filter(|(_, at)| **at == house) {
                alerts.extend(open.remove(id));
            }
            alerts.sort_by_key(|standing| (standing.told.day, standing.alert));
            let latest = alerts.pop();
            // Two households that became one have two alerts: the older says no news any more.
            for older in alerts {
                let decision = match self.judge(house, scoring, Some(&older)) {
                    Decision::Update(why) if why != Why::Withdrawn => Decision::Nothing,
                    decision => decision,
                };
                let routing = self.route(&scoring.scored, &self.handles(house));
                verdicts.push(Verdict { house, standing: Some(older), routing, decision });
            }
            let decision = self.judge(house, scoring, latest.as_ref());
            if latest.is_none() && decision == Decision::Nothing {
                continue;
            }
            let routing = self.route(&scoring.scored, &self.handles(house));
            let decision = match decision {
                Decision::New(_) if routing.recipients.is_empty() => {
                    tracing::warn!(
                        "a household is in a high tier, and nobody with a duty knows it"
                    );
                    Decision::Nothing
                }
                decision => decision,
            };
            verdicts.push(Verdict { house, standing: latest, routing, decision });
        }
        let candidates: Vec<Candidate> =
            verdicts.iter().map(|verdict| self.candidate(verdict, scorings)).collect();
        let mut capacity = self.capacity(&mut tx).await?;
        let was_flooded = capacity.is_flooded();
        let chosen = surfacing::choose(&mut capacity, &candidates);
        if capacity.is_flooded() && !was_flooded {
            tracing::error!(
                highest = capacity.highest,
                ceiling = capacity.ceiling,
                "more households than plausible are in the highest tier: look for a fault in the data"
            );
        }

        let mut surfaced = Surfaced { alerts: Vec::new(), reminders: 0, capacity };
        for at in chosen {
            let verdict = &mut verdicts[at];
            let scoring = &scorings[verdict.house];
            let (report, standing) = self.issue(&mut tx, verdict, scoring).await?;
            surfaced.alerts.extend(report);
            verdict.standing = standing;
        }
        for standing in open.into_values() {
            surfaced.alerts.extend(self.recall(&mut tx, standing).await?);
        }
        for verdict in &mut verdicts {
            let scoring = &scorings[verdict.house];
            surfaced.reminders += usize::from(self.attend(&mut tx, verdict, scoring).await?);
        }
        let (owed, settled) = self.owed(&mut tx, &verdicts, continuity).await?;
        tx.commit().await?;
        self.keep(continuity, owed, &settled).await?;
        Ok(surfaced)
    }

    /// Every open alert with its latest review.
    async fn open_alerts(&self, tx: &mut Tx) -> Result<BTreeMap<AlertId, Standing>, LedgerError> {
        let mut open = BTreeMap::new();
        for mut standing in standings::open(tx).await? {
            let review = reviews::of_alert(tx, standing.alert).await?.into_iter().next();
            standing.told.review = review.map(|received| Reviewed {
                day: received.review.day,
                score: Tenths::of(received.score_tenths.cast_signed()),
                no_action: received.review.action == ReviewAction::NoFurtherAction,
            });
            open.insert(standing.alert, standing);
        }
        Ok(open)
    }

    /// The places of the week that ends with the day of this sweep.
    async fn capacity(&self, tx: &mut Tx) -> Result<Capacity, LedgerError> {
        capacity(tx, self.cycle.model, self.as_at).await
    }

    /// By open alert: the house that most of its records belong to now.
    fn lodge(
        &self,
        scorings: &[Scoring],
        continuity: &Continuity,
        open: &BTreeMap<AlertId, Standing>,
    ) -> BTreeMap<AlertId, usize> {
        let mut best: BTreeMap<AlertId, (usize, Tenths, usize)> = BTreeMap::new();
        for (at, house) in self.houses.iter().enumerate() {
            let mut records: BTreeMap<AlertId, usize> = BTreeMap::new();
            for (agency, handle) in self.members(house) {
                let known = continuity.alerts(agency, handle).filter(|id| open.contains_key(id));
                known.for_each(|id| *records.entry(id).or_default() += 1);
            }
            for (id, records) in records {
                let claim = (records, scorings[at].scored.score, at);
                let holds =
                    |known: &(usize, Tenths, usize)| (known.0, known.1) >= (claim.0, claim.1);
                if !best.get(&id).is_some_and(holds) {
                    best.insert(id, claim);
                }
            }
        }
        best.into_iter().map(|(id, (.., at))| (id, at)).collect()
    }

    /// The agency and handle of each record of a house, where the agency takes part.
    fn members(&self, house: &House) -> impl Iterator<Item = (usize, Handle)> {
        let records = &self.linked.records;
        let members = house.household.members.iter();
        let places = members.map(|m| (records.agency(m.record), records.handle(m.record)));
        places.filter(|(agency, _)| self.agencies[*agency].is_in())
    }

    fn judge(&self, house: usize, scoring: &Scoring, standing: Option<&Standing>) -> Decision {
        let model = self.cycle.model;
        // Nothing is taken back because somebody is silent.
        let then = standing.filter(|standing| self.all_in(&standing.holders)).map(|standing| {
            Scoring::looking_back(model, &self.houses[house].events, &standing.told.basis)
        });
        surfacing::consider(model, standing.map(|s| &s.told), scoring, then.as_ref())
    }

    /// Returns whether all of these take part. Whoever left the federation never will again.
    fn all_in(&self, holders: &[AgencyId]) -> bool {
        let is_in = |id: &AgencyId| {
            let agency = self.agencies.iter().find(|agency| agency.member.id == *id);
            agency.is_none_or(Taking::is_in)
        };
        holders.iter().all(is_in)
    }

    fn candidate(&self, verdict: &Verdict, scorings: &[Scoring]) -> Candidate {
        let (scoring, house) = (&scorings[verdict.house], &self.houses[verdict.house]);
        let told = verdict.standing.as_ref().map(|standing| &standing.told);
        let waiting = surfacing::waiting_days(told, &scoring.scored);
        Candidate {
            decision: verdict.decision,
            rank: Rank::of(self.cycle.model, &scoring.scored, &scoring.alone, waiting),
            is_told: verdict.standing.is_some(),
            harmed: house.events.iter().map(|event| event.person).collect(),
            first: house.household.members.first().map_or(0, |member| member.record),
        }
    }

    /// Decides one household's revision and its deliveries, in the caller's transaction.
    async fn issue(
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
    async fn next(&self, tx: &mut Tx, id: AlertId, why: Why) -> Result<Revision, CycleError> {
        let last = alerts::find(tx, id).await?.map_or(0, |last| last.revision);
        let change = match why {
            Why::Gone => AlertChange::Cancel,
            _ => AlertChange::Update,
        };
        Ok(Revision { id, number: last + 1, change, why })
    }

    /// Tells a household's recipients, and whoever was told before where something is taken back.
    async fn tell(
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
            for gone in ever.iter().filter(|id| !still.contains(&id.as_str())) {
                self.withdraw(tx, gone, &report, revision).await?;
            }
        }

        let told = Told {
            day: self.as_at,
            score: scoring.scored.score,
            rules: Basis::of(&scoring.scored).rules,
            severe: scoring.severe.clone(),
            basis: Basis::of(&scoring.scored),
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
            holders: handles.keys().map(|at| self.agencies[*at].member.id.clone()).collect(),
            reminded: revision.why == Why::Unanswered,
            action_seen,
        };
        standings::put(tx, &standing).await?;
        Ok((report, standing))
    }

    /// Takes an alert back whose records are nowhere any more, where all agree that they are not.
    async fn recall(
        &self,
        tx: &mut Tx,
        standing: Standing,
    ) -> Result<Option<AlertReport>, CycleError> {
        let silent = !self.all_in(&standing.holders);
        // A look back in time knows less; and whoever has not got it yet could not hand it back.
        if silent
            || self.as_at.since(standing.told.basis.as_at) < 0
            || outbox::is_on_its_way(tx, standing.alert).await?
        {
            return Ok(None);
        }
        self.cancel(tx, standing, Why::Gone).await
    }

    /// Takes an alert back everywhere.
    async fn cancel(
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
    async fn withdraw(
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

    /// Sees to an open alert that brings no news: whether somebody acts, and whether nobody answers.
    /// Returns whether everybody was reminded.
    async fn attend(
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

    /// What nodes have to keep: the alert with each of its records, and reviews. Recipients keep an
    /// alert when it is delivered.
    async fn owed(
        &self,
        tx: &mut Tx,
        verdicts: &[Verdict],
        continuity: &mut Continuity,
    ) -> Result<(Owed, Vec<reviews::Received>), CycleError> {
        let unsettled = reviews::unsettled(tx).await?;
        let (mut owed, mut settled) = (Owed::new(), Vec::new());
        for verdict in verdicts {
            let Some(standing) = &verdict.standing else { continue };
            let last = alerts::find(tx, standing.alert).await?.map_or(0, |last| last.revision);
            let told = outbox::reached(tx, standing.alert, last).await?.recipients;
            let mine: Vec<_> = unsettled
                .iter()
                .filter(|received| received.review.alert == standing.alert)
                .filter(|received| received.review.action != ReviewAction::WrongRecord)
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
                let known = continuity.alerts(agency, handle).any(|known| known == standing.alert);
                if !known && told.contains(&self.agencies[agency].member.id) {
                    continuity.note(agency, alert);
                } else if !known {
                    owed.entry(agency).or_default().push(alert);
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

    async fn keep(
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

    /// The household's records at each agency, by the agency's place.
    fn handles(&self, house: usize) -> BTreeMap<usize, Vec<Handle>> {
        let mut handles: BTreeMap<usize, Vec<Handle>> = BTreeMap::new();
        for (agency, handle) in self.members(&self.houses[house]) {
            handles.entry(agency).or_default().push(handle);
        }
        handles
    }

    fn route(&self, scored: &Scored, handles: &BTreeMap<usize, Vec<Handle>>) -> Routing {
        let holders: Vec<_> = handles
            .keys()
            .map(|at| &self.agencies[*at].member)
            .map(|member| (member.id.as_str().into(), member.kind))
            .collect();
        route::route(self.cycle.model, scored, &holders)
    }

    fn missing(&self) -> Vec<AgencyKind> {
        let absent = self.agencies.iter().filter(|agency| !agency.is_in() || agency.is_stale());
        absent.map(|agency| agency.member.kind).collect()
    }

    /// The links that the household rests on.
    fn links(&self, house: &House) -> Vec<usize> {
        self.linked.pairs_within(house.household.members.iter().map(|member| member.record))
    }

    fn report(
        &self,
        house: &House,
        scoring: &Scoring,
        routing: &Routing,
        handles: &BTreeMap<usize, Vec<Handle>>,
        (revision, line_ids): (Revision, &[LineId]),
    ) -> AlertReport {
        let Scoring { scored, alone, .. } = scoring;
        let (model, missing) = (self.cycle.model, self.missing());
        let range = score::range(model, &house.events, self.as_at, &missing);
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
        let people = house.household.persons().len();
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
                .map(|at| report::link(self.agencies, self.linked, at))
                .collect(),
        }
    }

    /// Writes one revision down.
    async fn decide(
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
    async fn deliver(
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
            subject: subject(house.household.persons().len()),
            disclosures: &house.disclosures,
            late: &house.late,
            holders: &holders,
            absent_lead: routing.absent_lead,
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
            let body = pb::Alert::from(case.told(envelope)).encode_to_vec();
            let to = &self.agencies[*at].member.id;
            let now_ms = (self.cycle.now_ms)();
            outbox::put(tx, revision.id, revision.number, to, &body, now_ms).await?;
        }
        Ok(())
    }
}

/// Returns the places of the week that ends with a day.
pub async fn capacity(
    tx: &mut Tx,
    model: &score::Model,
    as_at: Day,
) -> Result<Capacity, LedgerError> {
    let limits = &model.surfacing;
    let week = alerts::pushed(tx, as_at.plus(-limits.week_days), as_at).await?;
    let latest = reviews::latest(tx, limits.brake_reviews).await?;
    let useful: Vec<bool> = latest.iter().map(reviews::Received::is_useful).collect();
    Ok(Capacity::of(model, &week, &useful))
}

fn subject(people: usize) -> AlertSubject {
    if people == 1 { AlertSubject::Person } else { AlertSubject::Household }
}

fn line_ids(scored: &Scored) -> Result<Vec<LineId>, NoRandomness> {
    scored.lines.iter().map(|_| random_id().map(LineId::from_bytes)).collect()
}

/// Returns 16 random bytes.
pub(super) fn random_id() -> Result<[u8; 16], NoRandomness> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
