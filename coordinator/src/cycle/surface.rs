//! Scores households, decides which few are told to whom and what is taken back, and writes it all
//! down at once.
//!
//! May be called again and again while a sweep is open: what was told stands in the ledger by alert,
//! what belongs to which record in [`Continuity`], and only news is issued. A live pass scores those
//! households again that changed: what the others come to stands in [`Scores`].

mod lodge;
mod tell;
mod withdraw;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use causeway_proto::{
    alert::{AlertChange, Tier},
    catalogue::AgencyKind,
    day::Day,
    ids::{AgencyId, AlertId, Handle, SweepId},
    review::ReviewAction,
};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    Cycle, CycleError, Linked, Taking,
    continuity::Continuity,
    ending::stopped,
    homes::{House, Houses},
    progress::Step,
    report::{AlertReport, Seconds},
    scores::{self, Scores},
    second_look,
    unknowns::unknowns,
};
use crate::{
    household::Member,
    ledger::{
        LedgerError, Tx, alerts, reviews,
        standings::{self, Standing},
    },
    link::rekey::NoRandomness,
    route::{
        self, Routing,
        surfacing::{self, Candidate, Capacity, Decision, Reviewed, Scoring, Why},
    },
    score::{self, Scored, Tenths, surface::Rank},
};

/// What surfacing came to.
#[derive(Debug)]
pub struct Surfaced {
    /// What was issued, most pressing first.
    pub alerts: Vec<AlertReport>,
    /// How many households were scored for it.
    pub scored: usize,
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
    agencies: &mut [Taking<'_>],
    (linked, houses): (&mut Linked, &Houses),
    (continuity, scores): (&mut Continuity, &mut Scores),
    seconds: &mut Seconds,
) -> Result<Surfaced, CycleError> {
    let began = Instant::now();
    let all = houses.worth.len() as u64;
    let scorings = scores.of(cycle.model, &houses.worth, as_at, scores::told(agencies));
    let houses = &houses.worth;
    let places = to_look_at(linked, houses, &scorings);
    second_look::look_for_telling(cycle, sweep, agencies, linked, &places).await;
    let (agencies, linked) = (&*agencies, &*linked);
    let unknowns = unknowns(cycle.ledger, agencies, as_at).await?;
    let told = Telling { cycle, sweep, as_at, agencies, linked, houses, unknowns: &unknowns };
    let mut surfaced = told.surface(&scorings, continuity).await?;
    surfaced.scored = scores.touched();
    seconds.score = began.elapsed().as_secs_f64();
    cycle.progress.step(Step::Score, None, all, all);
    Ok(surfaced)
}

/// The links of households that may be told of, by their places.
fn to_look_at(linked: &Linked, houses: &[House], scorings: &[Arc<Scoring>]) -> Vec<usize> {
    let high = houses.iter().zip(scorings).filter(|(_, of)| of.scored.tier >= Tier::T3);
    let members = high.flat_map(|(house, _)| house.household.members.iter().map(|m| m.record));
    linked.pairs_within(members)
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
        scorings: &[Arc<Scoring>],
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
                let decision = match self.judge(house, scoring, Some(&older), continuity) {
                    Decision::Update(why) if why != Why::Withdrawn => Decision::Nothing,
                    decision => decision,
                };
                let routing = self.route(&scoring.scored, &self.handles(house));
                verdicts.push(Verdict { house, standing: Some(older), routing, decision });
            }
            let decision = self.judge(house, scoring, latest.as_ref(), continuity);
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

        let mut surfaced = Surfaced { alerts: Vec::new(), scored: 0, reminders: 0, capacity };
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
            self.grow_older(&mut tx, verdict, continuity).await?;
            let scoring = &scorings[verdict.house];
            surfaced.alerts.extend(self.tell_who_was_away(&mut tx, verdict, scoring).await?);
            surfaced.reminders += usize::from(self.attend(&mut tx, verdict, scoring).await?);
        }
        let (owed, settled) = self.owed(&mut tx, &verdicts, continuity).await?;
        self.cycle.untold.send_replace(true);
        tx.commit().await?;
        // What nodes are to keep is owed again, and nobody is to wait for them who is told to stop.
        tokio::select! {
            biased;
            () = stopped(self.cycle.going.clone()) => {}
            kept = self.keep(continuity, owed, &settled) => kept?,
        }
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

    /// The agency and handle of each record of a house, where the agency takes part.
    fn members(&self, house: &House) -> impl Iterator<Item = (usize, Handle)> {
        self.places(house.household.members.iter())
    }

    fn places<'b>(
        &self,
        members: impl Iterator<Item = &'b Member>,
    ) -> impl Iterator<Item = (usize, Handle)> {
        let records = &self.linked.records;
        let places = members.map(|m| (records.agency(m.record), records.handle(m.record)));
        places.filter(|(agency, _)| self.agencies[*agency].is_in())
    }

    /// The records of those who live in a house: an alert is about nobody who moved out.
    fn there<'b>(&self, house: &'b House) -> impl Iterator<Item = &'b Member> {
        let as_at = self.as_at;
        house.household.members.iter().filter(move |member| member.is_there(as_at))
    }

    /// Returns whether somebody of a kind of agency does not take part.
    fn is_away(&self, kind: AgencyKind) -> bool {
        self.agencies.iter().any(|agency| agency.member.kind == kind && !agency.is_in())
    }

    /// How many people live in a house.
    fn people(&self, house: &House) -> usize {
        self.there(house).map(|member| member.person).collect::<BTreeSet<u32>>().len()
    }

    fn judge(
        &self,
        house: usize,
        scoring: &Scoring,
        standing: Option<&Standing>,
        continuity: &Continuity,
    ) -> Decision {
        let model = self.cycle.model;
        let Some(standing) = standing else {
            return surfacing::consider(model, None, scoring, None);
        };
        let (house, mut told) = (&self.houses[house], standing.told.clone());
        // What is told still has not grown too old.
        told.basis.ages = told.basis.ages.without(&house.ages(told.basis.as_at));
        let silent = self.silent(&standing.holders);
        // Nothing is taken back because somebody is silent; what others withdrew is.
        let whole = silent.is_empty() || self.is_whole(standing.alert, house, continuity);
        if !silent.is_empty() {
            told.basis = told.basis.without(&silent);
        }
        let then =
            whole.then(|| Scoring::looking_back(model, &house.events, &told.basis, self.as_at));
        let decision = surfacing::consider(model, Some(&told), scoring, then.as_ref());
        let is_back =
            |id: &String| self.agencies.iter().any(|a| a.is_in() && a.member.id.as_str() == id);
        match decision {
            Decision::Cancel(Why::Withdrawn) if !silent.is_empty() => {
                Decision::Update(Why::Withdrawn)
            }
            Decision::Nothing | Decision::Update(_) if told.unheard.iter().any(is_back) => {
                Decision::Update(Why::Withdrawn)
            }
            decision => decision,
        }
    }

    /// The kinds of those who do not take part.
    fn silent(&self, holders: &[AgencyId]) -> BTreeSet<AgencyKind> {
        let silent = self.agencies.iter().filter(|agency| !agency.is_in());
        let silent = silent.filter(|agency| holders.contains(&agency.member.id));
        silent.map(|agency| agency.member.kind).collect()
    }

    /// Returns whether all of these take part. Whoever left the federation never will again.
    fn all_in(&self, holders: &[AgencyId]) -> bool {
        let is_in = |id: &AgencyId| {
            let agency = self.agencies.iter().find(|agency| agency.member.id == *id);
            agency.is_none_or(Taking::is_in)
        };
        holders.iter().all(is_in)
    }

    fn candidate(&self, verdict: &Verdict, scorings: &[Arc<Scoring>]) -> Candidate {
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

    /// The records of those who live there at each agency, by the agency's place.
    fn handles(&self, house: usize) -> BTreeMap<usize, Vec<Handle>> {
        let mut handles: BTreeMap<usize, Vec<Handle>> = BTreeMap::new();
        for (agency, handle) in self.places(self.there(&self.houses[house])) {
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

/// Returns 16 random bytes.
pub(super) fn random_id() -> Result<[u8; 16], NoRandomness> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
