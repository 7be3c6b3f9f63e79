//! Scores households, decides which few are told to whom, and writes it all down at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use causeway_proto::{
    alert::{AlertChange, AlertSubject},
    catalogue::AgencyKind,
    day::Day,
    ids::{AlertId, Handle, LineId, SweepId},
    pb,
    sweep::MemoKind,
};
use prost::Message;
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    Cycle, CycleError, Linked, Taking,
    homes::{House, Houses},
    progress::Step,
    report::{self, AlertReport, RecipientReport, Seconds},
};
use crate::{
    alert::{Case, Envelope, Holder},
    ledger::{
        Tx,
        alerts::{self, Decided},
        outbox,
    },
    link::rekey::NoRandomness,
    route::{self, Routing},
    score::{
        self, Scored, Tenths,
        surface::{Rank, eligible},
    },
};

/// A household that may surface, with its score.
struct Scoring<'a> {
    house: &'a House,
    scored: Scored,
    alone: BTreeMap<AgencyKind, Tenths>,
    rank: Rank,
}

/// Scores, routes and records. Returns what was issued, most pressing first.
pub async fn surface(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    as_at: Day,
    agencies: &[Taking<'_>],
    linked: &Linked,
    houses: &Houses,
    seconds: &mut Seconds,
) -> Result<Vec<AlertReport>, CycleError> {
    let began = Instant::now();
    let all = houses.worth.len() as u64;
    let chosen = choose(cycle, as_at, agencies, houses);
    let told = Told { cycle, sweep, as_at, agencies, linked };
    let mut issued = Vec::new();
    let mut tx = cycle.ledger.begin().await?;
    for scoring in &chosen {
        issued.extend(told.issue(&mut tx, scoring).await?);
    }
    tx.commit().await?;
    seconds.score = began.elapsed().as_secs_f64();
    cycle.progress.step(Step::Score, None, all, all);
    Ok(issued)
}

/// The few that surface: eligible, most pressing first, as many as capacity allows.
fn choose<'a>(
    cycle: &Cycle<'_>,
    as_at: Day,
    agencies: &[Taking<'_>],
    houses: &'a Houses,
) -> Vec<Scoring<'a>> {
    let model = cycle.model;
    let fresh = |kind: AgencyKind| {
        agencies.iter().filter(|a| a.member.kind == kind).all(|a| a.is_in() && !a.is_stale())
    };
    let mut scorings: Vec<Scoring<'_>> = houses
        .worth
        .iter()
        .filter_map(|house| {
            let scored = score::score(model, &house.events, as_at, fresh);
            let alone = score::alone(model, &house.events, as_at, fresh);
            eligible(model, &scored, &alone, true).ok()?;
            let rank = Rank::of(model, &scored, &alone, 0);
            Some(Scoring { house, scored, alone, rank })
        })
        .collect();
    scorings.sort_by(|a, b| {
        let first = |s: &Scoring<'_>| s.house.household.members.first().map(|m| m.record);
        b.rank.cmp(&a.rank).then_with(|| first(a).cmp(&first(b)))
    });

    let mut told: BTreeSet<u32> = BTreeSet::new();
    let mut places = model.surfacing.top_k;
    let (mut chosen, mut highest) = (Vec::new(), 0);
    for scoring in scorings {
        // Somebody with two addresses is told of once: with the household that weighs more.
        let harmed: BTreeSet<u32> = scoring.house.events.iter().map(|event| event.person).collect();
        if harmed.is_subset(&told) {
            continue;
        }
        let is_highest = scoring.scored.tier == causeway_proto::alert::Tier::T4;
        if !is_highest {
            if places == 0 {
                continue;
            }
            places -= 1;
        } else {
            highest += 1;
        }
        told.extend(harmed);
        chosen.push(scoring);
    }
    if highest > model.surfacing.t4_ceiling {
        tracing::error!(
            highest,
            ceiling = model.surfacing.t4_ceiling,
            "more households than plausible are in the highest tier: look for a fault in the data"
        );
    }
    chosen
}

/// What every alert of this sweep needs.
struct Told<'a> {
    cycle: &'a Cycle<'a>,
    sweep: SweepId,
    as_at: Day,
    agencies: &'a [Taking<'a>],
    linked: &'a Linked,
}

impl Told<'_> {
    /// Decides one household's revision and its deliveries, in the caller's transaction.
    async fn issue(
        &self,
        tx: &mut Tx,
        scoring: &Scoring<'_>,
    ) -> Result<Option<AlertReport>, CycleError> {
        let handles = self.handles(scoring.house);
        let routing = self.route(&scoring.scored, &handles);
        if routing.recipients.is_empty() {
            tracing::warn!("a household is in a high tier, and nobody with a duty holds a record");
            return Ok(None);
        }
        let before = match self.known_alert(scoring.house) {
            Some(id) => alerts::find(tx, id).await?,
            None => None,
        };
        let (id, revision, change) = match &before {
            None => (AlertId::from_bytes(random_id()?), 1, AlertChange::New),
            Some(before) if is_news(before, &scoring.scored) => {
                (before.id, before.revision + 1, AlertChange::Update)
            }
            // Told before, and nothing is new.
            Some(_) => return Ok(None),
        };
        let report = self.report(scoring, &routing, &handles, (id, revision, change));
        self.record(tx, scoring, &routing, &handles, &report, (id, revision, change)).await?;
        Ok(Some(report))
    }

    /// The household's records at each agency, by the agency's place.
    fn handles(&self, house: &House) -> BTreeMap<usize, Vec<Handle>> {
        let mut handles: BTreeMap<usize, Vec<Handle>> = BTreeMap::new();
        for member in &house.household.members {
            let agency = self.linked.records.agency(member.record);
            if self.agencies[agency].is_in() {
                handles.entry(agency).or_default().push(self.linked.records.handle(member.record));
            }
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

    /// The alert that a node remembers with one of the household's records.
    fn known_alert(&self, house: &House) -> Option<AlertId> {
        let mut known: Vec<(Day, AlertId)> = Vec::new();
        for member in &house.household.members {
            let handle = self.linked.records.handle(member.record);
            let agency = &self.agencies[self.linked.records.agency(member.record)];
            let memos = agency.opened.iter().flat_map(|opened| &opened.memos);
            let mine = memos.filter(|memo| memo.handle == handle && memo.kind == MemoKind::Alert);
            known.extend(mine.map(|memo| (memo.made, AlertId::from_bytes(*memo.id.as_bytes()))));
        }
        known.into_iter().max().map(|(_, id)| id)
    }

    /// Who is missing, stale or withholding, in words.
    fn unknowns(&self) -> Vec<String> {
        let mut unknowns = Vec::new();
        for agency in self.agencies {
            let name = agency.member.kind.in_words();
            if !agency.is_in() {
                unknowns.push(format!("Nothing from {name} ({}) is in this", agency.member.id));
            } else if agency.is_stale() {
                unknowns
                    .push(format!("What {name} ({}) holds is not up to date", agency.member.id));
            }
        }
        let withholding: BTreeSet<&str> = self
            .agencies
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
        scoring: &Scoring<'_>,
        routing: &Routing,
        handles: &BTreeMap<usize, Vec<Handle>>,
        (id, revision, change): (AlertId, u32, AlertChange),
    ) -> AlertReport {
        let Scoring { house, scored, alone, .. } = scoring;
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
            alert_id: id.to_string(),
            revision,
            change,
            subject: subject(people),
            people,
            tier: scored.tier,
            score: report::number(scored.score),
            raw: report::number(scored.raw),
            range: [report::number(range.lo), report::number(range.hi)],
            best_single_agency: best,
            agency_alone: alone.iter().map(|(k, score)| (*k, report::number(*score))).collect(),
            lines: report::lines(scored),
            interactions: report::rules(scored),
            breadth: scored.breadth,
            recipients: recipients.collect(),
            unknowns: self.unknowns(),
            links: self
                .links(house)
                .into_iter()
                .map(|at| report::link(self.agencies, self.linked, at))
                .collect(),
        }
    }

    async fn record(
        &self,
        tx: &mut Tx,
        scoring: &Scoring<'_>,
        routing: &Routing,
        handles: &BTreeMap<usize, Vec<Handle>>,
        report: &AlertReport,
        (id, revision, change): (AlertId, u32, AlertChange),
    ) -> Result<(), CycleError> {
        let now_ms = (self.cycle.now_ms)();
        let decided = Decided {
            id,
            revision,
            change,
            sweep: self.sweep,
            subject: report.subject,
            tier: scoring.scored.tier,
            score_tenths: u32::try_from(scoring.scored.score.count()).unwrap_or(0),
            as_at: self.as_at,
            created_ms: now_ms,
            explanation: serde_json::to_string(report).expect("a report is plain data"),
        };
        alerts::put(tx, &decided).await?;

        let line_ids = line_ids(&scoring.scored)?;
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
            .links(scoring.house)
            .into_iter()
            .filter_map(|at| self.linked.decision.bits[at])
            .min_by(f64::total_cmp);
        let unknowns = self.unknowns();
        let case = Case {
            model: self.cycle.model,
            scored: &scoring.scored,
            subject: report.subject,
            disclosures: &scoring.house.disclosures,
            holders: &holders,
            absent_lead: routing.absent_lead,
            unknowns: &unknowns,
            attached: scoring.house.household.members.iter().filter(|m| m.attached).count(),
            weakest_link: weakest,
            line_ids: &line_ids,
        };
        for recipient in &routing.recipients {
            let held = handles
                .iter()
                .find(|(at, _)| self.agencies[**at].member.id.as_str() == &*recipient.agency);
            let Some((at, own)) = held else { continue };
            let envelope = Envelope {
                id,
                revision,
                change,
                sweep: self.sweep,
                recipient,
                handles: own.clone(),
            };
            let body = pb::Alert::from(case.told(envelope)).encode_to_vec();
            let to = &self.agencies[*at].member.id;
            outbox::put(tx, id, revision, to, &body, now_ms).await?;
        }
        Ok(())
    }
}

/// Returns whether a household that was told of before is worth telling of again: another tier, a
/// score that rose by as much as the model says, or another rule.
fn is_news(before: &Decided, scored: &Scored) -> bool {
    let known: Option<AlertReport> = serde_json::from_str(&before.explanation).ok();
    let rules: BTreeSet<String> = known
        .iter()
        .flat_map(|report| report.interactions.iter().map(|rule| rule.id.clone()))
        .collect();
    let rose = scored.score.count() - i32::try_from(before.score_tenths).unwrap_or(0) >= 100;
    let other_rule = scored.rules.iter().any(|rule| rule.id != "X13" && !rules.contains(&rule.id));
    rose || other_rule || scored.tier > before.tier
}

fn subject(people: usize) -> AlertSubject {
    if people == 1 { AlertSubject::Person } else { AlertSubject::Household }
}

fn line_ids(scored: &Scored) -> Result<Vec<LineId>, NoRandomness> {
    scored.lines.iter().map(|_| random_id().map(LineId::from_bytes)).collect()
}

fn random_id() -> Result<[u8; 16], NoRandomness> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
