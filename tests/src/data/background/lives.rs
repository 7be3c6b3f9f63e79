//! What time does to people: they move and they die.

use causeway_proto::day::Day;

use rand::RngExt;

use super::residents::Settler;

/// How far back moves leave their trace, in days.
const MOVES: i32 = 1_095;

impl Settler {
    /// Has some households moved within three years, into homes that others left or still live in.
    pub(super) fn move_house(&mut self) {
        for at in 0..self.town.households.len() {
            if !self.dice.random_bool(0.12) {
                continue;
            }
            // In half of the old homes somebody else lives now.
            let old = if self.dice.random_bool(0.5) {
                let other = self.dice.random_range(0..self.town.households.len());
                self.town.households[other].home
            } else {
                self.town.homes.let_one(false, &mut self.dice)
            };
            let day = self.as_at.plus(-self.dice.random_range(10..MOVES));
            let household = &self.town.households[at];
            if old == household.home {
                continue;
            }
            for member in &household.members {
                let person = &mut self.town.people[*member];
                if person.born < day && person.moved.is_none() {
                    person.moved = Some((old, day));
                }
            }
        }
    }

    /// Has some people died within two years, the old more often.
    pub(super) fn die(&mut self) {
        for person in &mut self.town.people {
            let share = match person.age(self.as_at) {
                ..18 => 0.0005,
                18..60 => 0.003,
                60..75 => 0.015,
                _ => 0.07,
            };
            if self.dice.random_bool(share) {
                let day: Day = self.as_at.plus(-self.dice.random_range(1..730));
                person.died = Some(day.max(person.born));
            }
        }
    }
}
