//! Asks the nodes how many of their people were linked, by kinds of people, without telling them of
//! whom, and without learning what kind anybody is.
//!
//! Seldom: a node that heard about its people night after night could take the blur out by itself.

use std::fmt;

use causeway_proto::{day::Day, ids::SweepId};
use futures::future::join_all;
use rand::{SeedableRng, rngs::StdRng};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{Cycle, Linked, Taking};
use crate::link::subgroups::{self, SubgroupQuality};

/// Days for which a count holds. In between, sweeps report the last one.
const HOLDS_DAYS: i32 = 28;

/// Who is linked how often, by kinds of people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subgroups {
    /// The day of the sweep that counted.
    pub counted: Day,
    /// Every kind of at least 10 people at every agency that told.
    pub kinds: Vec<SubgroupQuality>,
    /// Agencies that did not tell, and why.
    pub untold: Vec<String>,
}

/// Counts, or keeps what an earlier sweep counted not long ago.
pub async fn count(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    as_at: Day,
    (agencies, linked): (&[Taking<'_>], &Linked),
    earlier: Option<Subgroups>,
) -> Option<Subgroups> {
    let holds = |earlier: &Subgroups| {
        (0..HOLDS_DAYS).contains(&(as_at.number() - earlier.counted.number()))
    };
    if earlier.as_ref().is_some_and(holds) {
        return earlier;
    }
    let mut seed = [0; 32];
    // Without randomness there is no blur, and nothing is asked.
    SystemRandom::new().fill(&mut seed).ok()?;
    let mut random = StdRng::from_seed(seed);
    let mut asking = Vec::with_capacity(agencies.len());
    for (at, agency) in agencies.iter().enumerate().filter(|(_, agency)| agency.is_in()) {
        let own = linked.records.first(at)..linked.records.end(at);
        let records = own.len();
        let known: Vec<bool> = own.map(|record| linked.is_linked(record)).collect();
        let Some(question) = subgroups::blur(sweep, &known, &mut random) else { continue };
        let client = agency.member.client(cycle.limits.call());
        let id = &agency.member.id;
        asking.push(async move { (id, records, client.count_linked(question).await) });
    }
    let mut found = Subgroups { counted: as_at, kinds: Vec::new(), untold: Vec::new() };
    for (id, records, answer) in join_all(asking).await {
        match answer {
            Ok(counts) => found.kinds.extend(subgroups::estimate(id, &counts, records)),
            // It is no reason to leave the agency out: its links stand.
            Err(problem) => found.untold.push(format!("{id} {problem}")),
        }
    }
    Some(found)
}

impl fmt::Display for Subgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kinds, counted) = (self.kinds.len(), self.counted);
        let conspicuous: Vec<&SubgroupQuality> =
            self.kinds.iter().filter(|kind| kind.worth_a_look).collect();
        writeln!(
            f,
            "{kinds} kinds of people were counted on {counted}; {} are linked clearly more seldom than \
             others of their agency.",
            conspicuous.len()
        )?;
        for SubgroupQuality { agency, subgroup, linked, missed, .. } in conspicuous {
            writeln!(
                f,
                "  ?  {agency}: {:.0} % of those {subgroup} are linked ({:.0} to {:.0}); if as many of \
                 them are known elsewhere, about {:.0} are missed ({:.0} to {:.0})",
                100.0 * linked.estimate,
                100.0 * linked.low,
                100.0 * linked.high,
                missed.estimate,
                missed.low,
                missed.high
            )?;
        }
        self.untold.iter().try_for_each(|untold| writeln!(f, "  ?  not counted: {untold}"))
    }
}
