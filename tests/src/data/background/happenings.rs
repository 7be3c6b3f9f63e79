//! What happens in the town: one mild story to every seventh household, and much that is no harm.

use causeway_node::{normalise::Sex, source::Role};
use causeway_proto::{
    catalogue::{AgencyKind, SignalCode, SignalSpan},
    day::Day,
};

use rand::{RngExt, rngs::StdRng};

use super::{
    super::Happening,
    records::Held,
    residents::{Person, Town},
    stories::{CONTEXT, Part, RAISED, STORIES, Story, Whom, role},
};

/// The share of households that a story is sought for. Some agencies don't know them.
const TOLD: f64 = 0.16;
/// The share of households that one of the few raised stories is sought for.
const RAISED_SHARE: f64 = 0.004;
/// How many stories are tried on a household.
const TRIES: usize = 3;
/// The parts of a story lie within so many days.
const STORY_DAYS: i32 = 240;
/// What may name another of the household too.
const SHARED: &[&str] =
    &["POL_ASB_VICTIM", "HOU_ASB_COMPLAINANT", "HOU_ARREARS_8W", "HOU_NSP", "REV_ENFORCEMENT"];
/// What somebody is suspected of, who is named too.
const SUSPECTED: &[&str] = &[
    "POL_ASB_VICTIM",
    "POL_VICTIM_VIOLENCE",
    "POL_HATE_INCIDENT",
    "POL_HARASS_STALK",
    "POL_DA_STD",
    "POL_DA_HIGH",
];

/// Draws what happens from two years before a day until the end of 2025, or the day if it is later.
pub(super) fn draw(town: &Town, held: &[Held], as_at: Day, dice: &mut StdRng) -> Vec<Happening> {
    let mut known = vec![Vec::new(); town.households.len()];
    for (at, held_one) in held.iter().enumerate().filter(|(_, held)| held.current) {
        known[town.people[held_one.person].household].push(at);
    }
    let code = |part: &Part| part.code.parse().expect("context is of the catalogue");
    let police = |at: &usize| held[*at].record.agency == AgencyKind::Police;
    let last = Day::new(2025, 12, 31).expect("it is a day");
    let mut teller = Teller {
        town,
        held,
        police: (0..held.len()).filter(police).collect(),
        context: CONTEXT.iter().map(|(part, share)| (*part, code(part), *share)).collect(),
        from: as_at.plus(-730),
        to: last.max(as_at),
        events: 0,
        told: Vec::new(),
        dice,
    };
    for (household, known) in town.households.iter().zip(&known) {
        teller.household(known, household.rooms);
    }
    for at in (0..held.len()).filter(|at| held[*at].current) {
        teller.context(at);
    }
    teller.told
}

struct Teller<'a> {
    town: &'a Town,
    held: &'a [Held],
    /// Everybody whom the police hold, by place.
    police: Vec<usize>,
    context: Vec<(Part, SignalCode, u32)>,
    from: Day,
    to: Day,
    events: usize,
    told: Vec<Happening>,
    dice: &'a mut StdRng,
}

/// A part of a story with the record that it happens to and the days on which it may.
struct Cast {
    part: Part,
    code: SignalCode,
    at: usize,
    days: (Day, Day),
}

impl Teller<'_> {
    fn household(&mut self, known: &[usize], rooms: bool) {
        let raised = self.dice.random_bool(RAISED_SHARE);
        if !raised && !self.dice.random_bool(TOLD) {
            return;
        }
        for _ in 0..TRIES {
            let story = pick(if raised { RAISED } else { STORIES }, self.dice);
            // Strangers who share a house have no story in common.
            if rooms && story.parts.len() > 1 {
                continue;
            }
            let cast: Option<Vec<_>> =
                story.parts.iter().map(|part| self.cast(*part, known)).collect();
            if let Some(cast) = cast {
                self.tell(&cast, known);
                return;
            }
        }
    }

    /// Finds somebody of the household whom a part may happen to and whom its agency knows.
    fn cast(&mut self, part: Part, known: &[usize]) -> Option<Cast> {
        let code: SignalCode = part.code.parse().expect("stories are of the catalogue");
        let may: Vec<_> = (known.iter())
            .filter_map(|at| Some((*at, self.days(&self.held[*at], code, part.whom)?)))
            .collect();
        let (at, days) = *may.get(self.dice.random_range(0..may.len().max(1)))?;
        Some(Cast { part, code, at, days })
    }

    /// Returns the first and last day on which something may happen to the person of a record.
    fn days(&self, held: &Held, code: SignalCode, whom: Whom) -> Option<(Day, Day)> {
        let person = &self.town.people[held.person];
        let fits = code.spec().owner == Some(held.record.agency)
            && (whom != Whom::Woman || person.sex == Sex::Female);
        let (first, last) = lifetime(person, whom);
        let days = (first.max(self.from), last.min(self.to));
        (fits && days.0 < days.1).then_some(days)
    }

    fn tell(&mut self, cast: &[Cast], known: &[usize]) {
        let around = self.between(self.from, self.to);
        for Cast { part, code, at, days } in cast {
            for _ in 0..self.dice.random_range(1..=part.times) {
                let near = (around.plus(-STORY_DAYS / 2), around.plus(STORY_DAYS / 2));
                let near = (near.0.max(days.0), near.1.min(days.1));
                let (first, last) = if near.0 <= near.1 { near } else { *days };
                let start = self.between(first, last);
                let event = self.event(*code, *at, role(part.code), start);
                self.others(&event, part, known);
                if part.code == "ASC_SUICIDAL_DISCLOSURE" {
                    self.follow_up(&event, *at);
                }
            }
        }
    }

    /// Records something of one person as an event of its own.
    fn event(&mut self, code: SignalCode, at: usize, role: Role, start: Day) -> Happening {
        self.events += 1;
        let held = &self.held[at];
        let open = self.dice.random_bool(0.4);
        let end = match code.spec().span {
            SignalSpan::State if code.as_str() == "NHS_PREGNANT" => Some(start.plus(200)),
            SignalSpan::State if code.is_harm() && !open => {
                Some(start.plus(self.dice.random_range(30..300)))
            }
            _ => None,
        };
        let died = self.town.people[held.person].died;
        let happening = Happening {
            agency: held.record.agency,
            local_id: held.record.local_id.clone(),
            event_ref: format!("bg{:06}", self.events),
            code,
            role,
            start,
            end: match (end, died) {
                (Some(end), Some(died)) => Some(end.min(died)),
                (None, Some(died)) if code.spec().span == SignalSpan::State => Some(died),
                (end, _) => end,
            },
        };
        self.told.push(happening.clone());
        happening
    }

    /// Names others who had a part: another of the household, and whom else the police met.
    fn others(&mut self, event: &Happening, part: &Part, known: &[usize]) {
        if SHARED.contains(&part.code) && self.dice.random_bool(0.3) {
            let fits = |at: &usize| {
                let days = self.days(&self.held[*at], event.code, part.whom);
                days.is_some_and(|(first, last)| (first..=last).contains(&event.start))
            };
            let another = known.iter().copied().find(fits);
            self.name(event, another, event.role);
        }
        if event.role != Role::Victim {
            return;
        }
        let suspected = if SUSPECTED.contains(&part.code) { 0.4 } else { 0.0 };
        let roles = [(Role::Witness, 0.3), (Role::Reporter, 0.25), (Role::Suspect, suspected)];
        for (role, share) in roles {
            if self.dice.random_bool(share) {
                let anybody = self.police[self.dice.random_range(0..self.police.len())];
                let at_home = role == Role::Suspect && part.code.starts_with("POL_DA_");
                let partner = self.man_of(known).filter(|_| at_home);
                self.name(event, Some(partner.unwrap_or(anybody)), role);
            }
        }
    }

    /// Finds a man of the household whom the police hold.
    fn man_of(&self, known: &[usize]) -> Option<usize> {
        known.iter().copied().find(|at| {
            let held = &self.held[*at];
            let person = &self.town.people[held.person];
            held.record.agency == AgencyKind::Police
                && person.sex == Sex::Male
                && person.age(self.from) >= 18
        })
    }

    /// Names a person in an event that has happened, unless it names them already.
    fn name(&mut self, event: &Happening, at: Option<usize>, role: Role) {
        let Some(held) = at.map(|at| &self.held[at]) else { return };
        let person = &self.town.people[held.person];
        let alive = person.died.is_none_or(|died| event.start <= died);
        let old_enough = person.age(event.start) >= 10 || role == event.role;
        let named = |told: &&Happening| told.event_ref == event.event_ref;
        let twice = (self.told.iter().rev().take_while(named))
            .any(|told| told.local_id == held.record.local_id);
        if alive && old_enough && !twice {
            let local_id = held.record.local_id.clone();
            self.told.push(Happening { local_id, role, ..event.clone() });
        }
    }

    /// Answers a disclosure within twelve days, as it should be.
    fn follow_up(&mut self, event: &Happening, at: usize) {
        let code = "ASC_FOLLOWED_UP".parse().expect("it is of the catalogue");
        let day = event.start.plus(self.dice.random_range(1..=12));
        let died = self.town.people[self.held[at].person].died;
        self.event(code, at, Role::Subject, died.map_or(day, |died| day.min(died)));
    }

    /// Records how a person lives, where their record says so.
    fn context(&mut self, at: usize) {
        for (part, code, share) in self.context.clone() {
            let Some((first, last)) = self.days(&self.held[at], code, part.whom) else { continue };
            if self.dice.random_range(0..1000) < share {
                for _ in 0..self.dice.random_range(1..=part.times) {
                    let start = self.between(first, last);
                    self.event(code, at, Role::Subject, start);
                }
            }
        }
    }

    fn between(&mut self, first: Day, last: Day) -> Day {
        first.plus(self.dice.random_range(0..=last.since(first)))
    }
}

/// Draws a story by its weight.
fn pick(stories: &'static [Story], dice: &mut StdRng) -> &'static Story {
    let mut at = dice.random_range(0..stories.iter().map(|story| story.weight).sum::<u32>());
    let found = stories.iter().find(|story| {
        let found = at < story.weight;
        at = at.saturating_sub(story.weight);
        found
    });
    found.expect("the weights cover the range")
}

/// Returns the days between which a person is of an age and alive.
fn lifetime(person: &Person, whom: Whom) -> (Day, Day) {
    let (from, to) = whom.ages();
    let birthday = |age: i32| person.born.plus(age * 365 + age / 4);
    let last = birthday(to);
    (birthday(from), person.died.map_or(last, |died| died.min(last)))
}
