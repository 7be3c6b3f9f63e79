//! How often random pairs of an agency's people agree.

use causeway_proto::linkage::{
    comparison::Comparison,
    levels::{ComparisonField, Levels},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// How many pairs reach each level of each field.
pub type Counts = [[u64; ComparisonField::MOST_LEVELS]; ComparisonField::COUNT];

/// Counts levels of agreement over so many random pairs of different people. The same people and the same
/// seed give the same counts.
pub fn count(people: &[Comparison], pairs: usize, seed: [u8; 32]) -> Counts {
    let mut random = StdRng::from_seed(seed);
    let mut counts = Counts::default();
    // Drawing the same few pairs over and over would only look like evidence.
    let there_are = people.len() * people.len().saturating_sub(1) / 2;
    for _ in 0..pairs.min(there_are) {
        let a = random.random_range(0..people.len());
        let b = (a + random.random_range(1..people.len())) % people.len();
        let levels = Levels::of(&people[a], &people[b]);
        for field in ComparisonField::ALL {
            if let Some(level) = levels.get(*field) {
                counts[*field as usize][level] += 1;
            }
        }
    }
    counts
}
