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
    /// The day on which nodes were last asked, whether or not they told; not in reports of before this was
    /// kept, nor where nobody was asked.
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
    let earlier = earlier.map(|earlier| earlier.up_to(today));
    if earlier.as_ref().is_some_and(|earlier| earlier.holds(as_at, today)) {
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
    // Who refuses to tell has seen the blurred bits all the same.
    let asked = (!asking.is_empty()).then_some(today);
    let mut found = Subgroups { counted: as_at, asked, kinds: Vec::new(), untold };
    for (id, records, answer) in join_all(asking).await {
        match answer {
            Ok(counts) => found.kinds.extend(subgroups::estimate(id, &counts, records)),
            // It is no reason to leave the agency out: its links stand.
            Err(problem) => found.untold.push(format!("{id} {problem}")),
        }
    }
    Some(found.or_what_was_told(earlier))
}

impl Subgroups {
    /// Takes a day to come on which nodes were asked for today: the clock was ahead then, and nobody knows when
    /// it was.
    fn up_to(self, today: Day) -> Self {
        Self { asked: self.asked.map(|asked| asked.min(today)), ..self }
    }

    /// Returns whether nobody is asked again yet, whatever day a sweep speaks of: what a node learns adds up
    /// with every question.
    fn holds(&self, as_at: Day, today: Day) -> bool {
        match self.asked {
            Some(asked) => today.since(asked) < HOLDS_DAYS,
            None => !self.kinds.is_empty() && as_at.since(self.counted) < HOLDS_DAYS,
        }
    }

    /// Keeps what was told earlier where nobody told anything now.
    fn or_what_was_told(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) if self.kinds.is_empty() && !earlier.kinds.is_empty() => {
                Self { asked: self.asked.or(earlier.asked), untold: self.untold, ..earlier }
            }
            _ => self,
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
    use causeway_proto::ids::AgencyId;

    use super::*;
    use crate::link::{quality::Estimate, subgroups::MissedMatches};

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn kind(agency: &str) -> SubgroupQuality {
        let agency: AgencyId = agency.parse().unwrap();
        SubgroupQuality {
            agency,
            subgroup: "female".into(),
            records: 100.0,
            linked: Estimate { estimate: 0.5, low: 0.4, high: 0.6 },
            missed: MissedMatches { estimate: 0.0, low: 0.0, high: 0.0 },
            worth_a_look: false,
        }
    }

    #[test]
    fn nobody_is_asked_again_within_four_weeks_whatever_day_a_sweep_speaks_of() {
        let (counted, asked) = (day("2025-02-25"), Some(day("2025-06-01")));
        // Nobody told anything, and everybody was asked.
        let found = Subgroups { counted, asked, kinds: Vec::new(), untold: Vec::new() };
        for as_at in ["2025-02-25", "2025-02-24", "2024-01-01", "2025-06-28"] {
            assert!(found.holds(day(as_at), day("2025-06-28")), "{as_at}");
            assert!(!found.holds(day(as_at), day("2025-06-29")), "{as_at}");
        }
        // As earlier versions wrote it.
        let older = Subgroups { asked: None, kinds: vec![kind("police")], ..found };
        assert!(older.holds(day("2025-02-24"), day("2025-06-28")), "an earlier day");
        assert!(older.holds(day("2025-03-24"), day("2025-06-28")));
        assert!(!older.holds(day("2025-03-25"), day("2025-06-28")));
        let unasked = Subgroups { kinds: Vec::new(), ..older };
        assert!(!unasked.holds(day("2025-02-25"), day("2025-02-25")), "nobody has seen anything");
    }

    #[test]
    fn who_was_asked_by_a_clock_that_was_ahead_is_asked_again_after_four_weeks() {
        let (counted, asked) = (day("2025-02-25"), Some(day("2027-01-01")));
        let found = Subgroups { counted, asked, kinds: Vec::new(), untold: Vec::new() };
        let found = found.up_to(day("2025-06-01"));
        assert_eq!(found.asked, Some(day("2025-06-01")));
        assert!(found.holds(counted, day("2025-06-28")));
        assert_eq!(found.clone().up_to(day("2025-06-28")), found, "it is not put off again");
        assert!(!found.holds(counted, day("2025-06-29")));
    }

    #[test]
    fn what_was_told_earlier_stands_until_somebody_tells_again() {
        let (first, then) = (day("2025-02-25"), day("2025-03-25"));
        let of = |on, kinds, untold: &[&str]| Subgroups {
            counted: on,
            asked: Some(on),
            kinds,
            untold: untold.iter().copied().map(str::to_owned).collect(),
        };
        let told = of(first, vec![kind("police")], &[]);
        let silent = of(then, Vec::new(), &["police refused"]).or_what_was_told(Some(told.clone()));
        let Subgroups { counted, asked, kinds, untold } = &silent;
        assert_eq!((*counted, *asked, kinds), (first, Some(then), &told.kinds));
        assert_eq!(untold, &["police refused"]);
        let unasked = Subgroups { asked: None, ..of(then, Vec::new(), &[]) };
        let unasked = unasked.or_what_was_told(Some(told.clone()));
        assert_eq!((unasked.asked, unasked.kinds), (Some(first), told.kinds.clone()));
        let again = of(then, vec![kind("housing")], &[]);
        assert_eq!(again.clone().or_what_was_told(Some(told)), again);
    }
}
