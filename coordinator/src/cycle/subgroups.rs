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
    /// The day that the sweep spoke of which counted.
    pub counted: Day,
    /// The day on which it did; not in reports of before this was kept.
    #[serde(default)]
    pub asked: Option<Day>,
    /// Every kind of people at every agency that told; nodes tell of those of 20 and more.
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
    let today = Day::of_unix_ms((cycle.now_ms)().cast_signed());
    // One that nobody told anything for is no count.
    let holds = |earlier: &Subgroups| !earlier.kinds.is_empty() && earlier.holds(as_at, today);
    if earlier.as_ref().is_some_and(holds) {
        return earlier;
    }
    let mut seed = [0; 32];
    // Without randomness there is no blur, and nothing is asked.
    SystemRandom::new().fill(&mut seed).ok()?;
    let mut random = StdRng::from_seed(seed);
    let mut asking = Vec::with_capacity(agencies.len());
    let mut untold = Vec::new();
    for (at, agency) in agencies.iter().enumerate() {
        let id = &agency.member.id;
        if !agency.is_in() {
            untold.push(format!("{id} did not take part"));
            continue;
        }
        let own = linked.records.first(at)..linked.records.end(at);
        let records = own.len();
        let known: Vec<bool> = own.map(|record| linked.is_linked(record)).collect();
        let Some(question) = subgroups::blur(sweep, &known, &mut random) else {
            untold.push(format!("{id} has too few people to be counted by kinds"));
            continue;
        };
        let client = agency.member.client(cycle.limits.call());
        asking.push(async move { (id, records, client.count_linked(question).await) });
    }
    let mut found = Subgroups { counted: as_at, asked: Some(today), kinds: Vec::new(), untold };
    for (id, records, answer) in join_all(asking).await {
        match answer {
            Ok(counts) => found.kinds.extend(subgroups::estimate(id, &counts, records)),
            // It is no reason to leave the agency out: its links stand.
            Err(problem) => found.untold.push(format!("{id} {problem}")),
        }
    }
    Some(found)
}

impl Subgroups {
    /// Returns whether nobody is asked again yet, whatever day a sweep speaks of: what a node learns adds up
    /// with every question.
    fn holds(&self, as_at: Day, today: Day) -> bool {
        match self.asked {
            // Where the clock was ahead then, nobody knows when it was, and nodes refuse what comes too soon.
            Some(asked) => (0..HOLDS_DAYS).contains(&today.since(asked)),
            None => as_at.since(self.counted) < HOLDS_DAYS,
        }
    }
}

impl fmt::Display for Subgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kinds, counted) = (self.kinds.len(), self.counted);
        let conspicuous: Vec<&SubgroupQuality> =
            self.kinds.iter().filter(|kind| kind.worth_a_look).collect();
        writeln!(
            f,
            "{kinds} kinds of people were counted on {counted}; {} are linked clearly more seldom than \
             others of their agency. Missed are those who would be linked if as many are known elsewhere:",
            conspicuous.len()
        )?;
        let mut last = None;
        for SubgroupQuality { agency, subgroup, records, linked, missed, .. } in &self.kinds {
            if last != Some(agency) {
                writeln!(f, "  {agency}")?;
                last = Some(agency);
            }
            let [share, low, high] = [linked.estimate, linked.low, linked.high].map(|p| 100.0 * p);
            let share = format!("{share:.0} % ({low:.0} to {high:.0})");
            writeln!(
                f,
                "    {subgroup:<26} {records:>9} records, {share:<17} linked, {:.0} missed ({:.0} to {:.0})",
                missed.estimate, missed.low, missed.high
            )?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_again_within_four_weeks_whatever_day_a_sweep_speaks_of() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let (counted, asked) = (day("2025-02-25"), Some(day("2025-06-01")));
        let found = Subgroups { counted, asked, kinds: Vec::new(), untold: Vec::new() };
        for as_at in ["2025-02-25", "2025-02-24", "2024-01-01", "2025-06-28"] {
            assert!(found.holds(day(as_at), day("2025-06-28")), "{as_at}");
            assert!(!found.holds(day(as_at), day("2025-06-29")), "{as_at}");
            assert!(!found.holds(day(as_at), day("2025-05-31")), "{as_at}: the clock was ahead");
        }
        // As earlier versions wrote it.
        let older = Subgroups { asked: None, ..found };
        assert!(older.holds(day("2025-02-24"), day("2025-06-28")), "an earlier day");
        assert!(older.holds(day("2025-03-24"), day("2025-06-28")));
        assert!(!older.holds(day("2025-03-25"), day("2025-06-28")));
    }
}
