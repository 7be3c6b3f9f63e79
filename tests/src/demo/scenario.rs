//! What became of the planted scenarios, also of those that must not surface.
//!
//! The product keeps no list of who was not surfaced. The town knows the truth, so it replays each
//! scenario's own events through `causeway-coordinator score`, and looks at who was taken for whom.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use causeway_node::{policy, source::Role};
use causeway_proto::{catalogue::AgencyKind, day::Day};
use serde::Serialize;

use super::AlertReport;
use crate::{
    data::{Happening, People, planted},
    town::{Town, process::Agent},
    truth::Judgement,
};

/// One planted household.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Its name.
    pub household: String,
    /// What its own events score as at the day, were every record in its place.
    pub score: f64,
    /// The tier of that score.
    pub tier: String,
    /// Whether the sweep surfaced it.
    pub alerted: bool,
    /// Who it really is.
    pub people: BTreeSet<String>,
    /// Those who were taken for one person with somebody else: has to be empty.
    pub merged: BTreeSet<String>,
    /// Its records, by agency, that could be of two people and were given to neither.
    pub ambiguous: Vec<String>,
}

/// Returns every planted household in the order of their names.
pub(super) fn scenarios(
    judgement: &Judgement,
    kinds: &[AgencyKind],
    alerts: &[AlertReport],
    as_at: Day,
    town: &Town,
) -> anyhow::Result<Vec<Scenario>> {
    let people = planted::people()?;
    let scores = replay(&people, as_at, town)?;
    let mut of_person: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for record in &judgement.records {
        // A record that nobody could tell stands in no one's way.
        if let Some(person) = record.person.filter(|_| !record.truth.contains('/')) {
            of_person.entry(person).or_default().insert(&record.truth);
        }
    }
    let merged: BTreeSet<&str> =
        of_person.values().filter(|truths| truths.len() > 1).flatten().copied().collect();
    let mut found: BTreeMap<String, Scenario> = BTreeMap::new();
    for record in people.records.iter().filter(|record| !record.truth.household.is_empty()) {
        let household = &record.truth.household;
        let entry = found.entry(household.clone()).or_insert_with(|| {
            // Without events there is nothing to score.
            let (score, tier) = scores.get(household).cloned().unwrap_or((0.0, "T0".to_owned()));
            let alerted = alerts.iter().any(|alert| alert.household == *household);
            Scenario {
                household: household.clone(),
                score,
                tier,
                alerted,
                people: BTreeSet::new(),
                merged: BTreeSet::new(),
                ambiguous: Vec::new(),
            }
        });
        if !record.truth.person.is_empty() {
            entry.people.insert(record.truth.person.clone());
        }
        if merged.contains(record.truth.person.as_str()) {
            entry.merged.insert(record.truth.person.clone());
        }
        let at = kinds.iter().position(|kind| *kind == record.agency);
        let unclear = judgement.records.iter().any(|judged| {
            judged.ambiguous && Some(judged.agency) == at && judged.key == record.local_id
        });
        if unclear {
            entry.ambiguous.push(record.agency.to_string());
        }
    }
    Ok(found.into_values().collect())
}

/// Scores every planted household's own events. Returns score and tier by household.
fn replay(
    people: &People,
    as_at: Day,
    town: &Town,
) -> anyhow::Result<BTreeMap<String, (f64, String)>> {
    let file = town.folder().join("scenarios.csv");
    let mut writer = csv::Writer::from_path(&file)?;
    let header =
        ["household", "person", "agency", "code", "start", "end", "event_ref", "confidence"];
    writer.write_record(header)?;
    for happening in people.happenings.iter().filter(|happening| counts(happening)) {
        let whose = people.records.iter().find(|record| {
            (record.agency, &record.local_id) == (happening.agency, &happening.local_id)
        });
        let truth = &whose.context("an event of nobody")?.truth;
        let (code, start) = (happening.code.to_string(), happening.start.to_string());
        let end = happening.end.map(|end| end.to_string()).unwrap_or_default();
        let agency = happening.agency.to_string();
        let row = [
            truth.household.as_str(),
            &truth.person,
            &agency,
            &code,
            &start,
            &end,
            &happening.event_ref,
            "",
        ];
        writer.write_record(row)?;
    }
    let mut told = BTreeSet::new();
    for record in &people.records {
        let Ok(born) = record.person.dob.parse::<Day>() else { continue };
        let Some(band) = policy::child_band(born, as_at) else { continue };
        let truth = &record.truth;
        if !truth.person.is_empty() && told.insert(&truth.person) {
            let (band, born) = (band.to_string(), born.to_string());
            let row = [truth.household.as_str(), &truth.person, "", &band, &born, "", "", ""];
            writer.write_record(row)?;
        }
    }
    writer.flush()?;
    let (config, as_at) = (town.coordinator_config(), as_at.to_string());
    let name = file.display().to_string();
    let args = ["score", &name, "--as-at", &as_at];
    let (report, _) = town.launcher().json(Agent::Coordinator, &config, &args)?;
    let households = report["households"].as_array().context("a replay without households")?;
    let entry = |household: &serde_json::Value| {
        let text = |name: &str| household[name].as_str().unwrap_or_default().to_owned();
        (text("household"), (household["score"].as_f64().unwrap_or(0.0), text("tier")))
    };
    Ok(households.iter().map(entry).collect())
}

/// Witnesses and the like are contacts, and suspects carry only what is said of suspects.
fn counts(happening: &Happening) -> bool {
    match happening.role {
        Role::Victim | Role::Subject => !happening.code.spec().of_suspect,
        Role::Suspect => happening.code.spec().of_suspect,
        Role::Witness | Role::Reporter | Role::Professional => false,
    }
}
