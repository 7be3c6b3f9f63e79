//! Counts how often different people of this agency agree, field by field: what the u-probabilities are
//! estimated from.
//!
//! Random pairs show how often strangers are alike. That two have the very same birth date or phone number
//! is too seldom for any sample of pairs, so it is counted over all pairs of the people there are.

use causeway_proto::{
    limits::K_THRESHOLD,
    linkage::{
        comparison::{Comparison, Presence},
        levels::ComparisonField as F,
    },
    pb,
};

use crate::tokenise::{
    sketch::{Sketch, Value},
    strangers,
};

/// More pairs would make the estimate no better.
pub(super) const MOST_PAIRS: usize = 300_000;

/// Fields that are compared as a whole, each in one place of [`Wholes`].
const WHOLE: [F; 8] =
    [F::Forename, F::Surname, F::Birth, F::Address, F::Town, F::OtherId, F::Email, F::Phone];

/// By field of [`WHOLE`]: a number for the value, and the level that two with this value reach.
type Wholes = [Option<(u64, usize)>; WHOLE.len()];

/// How often people agree in a sample of pairs.
pub(super) struct Agreement {
    /// How many pairs were drawn.
    pairs: usize,
    fields: Vec<pb::FieldAgreement>,
}

impl Agreement {
    /// Returns the counts as those of so many pairs, where the sample has more.
    pub(super) fn in_proportion_to(&self, pairs: u32) -> Vec<pb::FieldAgreement> {
        let share = (f64::from(pairs) / self.pairs.max(1) as f64).min(1.0);
        let field = |of: &pb::FieldAgreement| pb::FieldAgreement {
            field: of.field,
            counts: of.counts.iter().map(|count| count * share).collect(),
            compared: of.compared * share,
        };
        self.fields.iter().map(field).collect()
    }
}

/// The people who are compared with each other.
#[derive(Default)]
pub(super) struct People {
    comparisons: Vec<Comparison>,
    wholes: Vec<Wholes>,
}

impl People {
    /// Adds somebody. All comparisons have the same salt.
    pub(super) fn push(&mut self, comparison: Comparison, sketch: &Sketch<'_>) {
        self.comparisons.push(comparison);
        self.wholes.push(wholes(sketch));
    }

    /// Returns how many they are.
    pub(super) fn len(&self) -> usize {
        self.comparisons.len()
    }

    /// Counts levels of agreement over random pairs, and over all pairs where they are the same.
    pub(super) fn agreement(&self, pairs: usize, seed: [u8; 32]) -> Agreement {
        let counts = strangers::count(&self.comparisons, pairs, seed);
        let told = |count: &u64| if *count < K_THRESHOLD { 0.0 } else { *count as f64 };
        let field = |field: &F| {
            let counts = &counts[*field as usize][..field.levels()];
            let compared = told(&counts.iter().sum());
            let mut counts: Vec<f64> = counts.iter().map(told).collect();
            for (level, share) in self.same(*field) {
                counts[level] = compared * share;
            }
            pb::FieldAgreement { field: field.to_wire(), compared, counts }
        };
        let there_are = self.len() * self.len().saturating_sub(1) / 2;
        Agreement { pairs: pairs.min(there_are), fields: F::ALL.iter().map(field).collect() }
    }

    /// The levels of a field at which two have the same value, and which share of all pairs does; where
    /// enough do.
    fn same(&self, field: F) -> Vec<(usize, f64)> {
        let Some(at) = WHOLE.iter().position(|whole| *whole == field) else { return Vec::new() };
        let mut values: Vec<(u64, usize)> = self.wholes.iter().filter_map(|all| all[at]).collect();
        values.sort_unstable();
        let pairs = |people: usize| people as u64 * people.saturating_sub(1) as u64 / 2;
        let mut same = [0u64; F::MOST_LEVELS];
        for alike in values.chunk_by(|x, y| x == y) {
            same[alike[0].1] += pairs(alike.len());
        }
        let enough = same.iter().enumerate().filter(|(_, same)| **same >= K_THRESHOLD);
        let all = pairs(values.len()) as f64;
        enough.map(|(level, same)| (level, *same as f64 / all)).collect()
    }
}

fn wholes(sketch: &Sketch<'_>) -> Wholes {
    let value = |value: Value| u64::from(sketch.values[value as usize]);
    let one = |of: Value, level: usize| Some((value(of), level)).filter(|(value, _)| *value != 0);
    let full_name = !sketch.presence.has(Presence::FORENAME_INITIAL);
    let birth = sketch.birth;
    let day = birth.year.zip(birth.month).zip(birth.day).map(|((year, month), day)| {
        (i64::from(year) * 10_000 + i64::from(month) * 100 + i64::from(day)).cast_unsigned()
    });
    let home = [Value::Postcode, Value::House, Value::Street].map(value);
    let spread = |sum: u64, part: &u64| (sum ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let there = home.iter().all(|part| *part != 0);
    [
        one(Value::Forename, 5).filter(|_| full_name),
        one(Value::Surname, 4 + usize::from(sketch.has_rare_surname())),
        day.map(|day| (day, 5)),
        there.then(|| (home.iter().fold(0, spread), 5)),
        one(Value::Town, 2),
        one(Value::OtherId, 3),
        one(Value::Email, 3),
        one(Value::Phone, 2),
    ]
}

#[cfg(test)]
mod tests {
    use aes::{Aes128, cipher::KeyInit};

    use super::*;
    use crate::tokenise::{
        compare::Comparer,
        profile::{Birth, Profile},
        sketch,
    };

    #[test]
    fn what_is_seldom_the_same_is_counted_over_all_pairs() {
        let cipher = Aes128::new_from_slice(&[9; 16]).unwrap();
        let mut people = People::default();
        // Everybody shares a birth date with one other: 100 of 19,900 pairs.
        for n in 0..200u16 {
            let day = i8::try_from(1 + n % 25).unwrap();
            let birth = Birth {
                year: Some(1950 + (n / 25 % 4).cast_signed()),
                month: Some(3),
                day: Some(day),
            };
            let profile = Profile {
                births: vec![birth],
                phone: if n < 5 { "5550100".into() } else { format!("55{n}") },
                ..Profile::default()
            };
            let packed = sketch::encode(&profile);
            let sketch = Sketch::read(&packed).unwrap();
            let mut comparer = Comparer::new(&cipher);
            people.push(comparer.compare(&[0; 16], n.into(), &sketch), &sketch);
        }
        let sample = people.agreement(40, [1; 32]);
        let told = sample.in_proportion_to(40);
        let of = |field: F| told.iter().find(|told| told.field == field.to_wire()).unwrap();
        let birth = of(F::Birth);
        assert!((birth.compared - 40.0).abs() < 1e-9);
        assert!((birth.counts[5] / 40.0 - 100.0 / 19_900.0).abs() < 1e-9, "{:?}", birth.counts);
        let phone = of(F::Phone).counts[2] / 40.0;
        assert!((phone - 10.0 / 19_900.0).abs() < 1e-9, "{phone}");
        // However many are asked for, it is the same sample.
        assert_eq!(sample.in_proportion_to(u32::MAX), told);
        let half = sample.in_proportion_to(20);
        for (half, told) in half.iter().zip(&told) {
            assert!((2.0 * half.compared - told.compared).abs() < 1e-9);
            assert_eq!(half.counts.iter().map(|n| 2.0 * n).collect::<Vec<_>>(), told.counts);
        }
        // Nor does a field say that so few have it.
        let few = people.agreement(9, [1; 32]).in_proportion_to(9);
        assert!(few.iter().all(|field| field.compared == 0.0));
    }
}
