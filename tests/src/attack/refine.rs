//! Colour refinement: what a token graph gives away by its shape alone.
//!
//! A record's colour begins with what is plainly visible and takes in, round by round, the colours of
//! those it shares tokens with. Two records with one colour cannot be told apart by their
//! surroundings; a colour that occurs once in the graph and once in a clear register names somebody.
//! People whom the attacker knows begin with a colour of their own. Of everything that uses the shape
//! alone and knows the register exactly, nothing does better (but for regular graphs, which these are
//! not).

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Rounds; beyond these no surroundings reach further in practice.
const ROUNDS: usize = 8;

/// Records and the tokens that at least two of them share. A token of one record says nothing: it
/// may be filling.
pub(super) struct Graph {
    /// By record: its shared tokens.
    tokens: Vec<Vec<usize>>,
    /// By shared token: its kind and its holders.
    holders: Vec<(usize, Vec<usize>)>,
}

impl Graph {
    /// Takes for each record its tokens with their kinds.
    pub(super) fn new<'a, T: Hash + Eq + Copy + 'a>(
        records: impl Iterator<Item = &'a [(usize, T)]>,
    ) -> Self {
        let mut by_token: HashMap<(usize, T), Vec<usize>> = HashMap::new();
        let mut count = 0;
        for (at, record) in records.enumerate() {
            count = at + 1;
            for token in record {
                let holders = by_token.entry(*token).or_default();
                if holders.last() != Some(&at) {
                    holders.push(at);
                }
            }
        }
        let mut graph = Self { tokens: vec![Vec::new(); count], holders: Vec::new() };
        for ((kind, _), holders) in by_token {
            if holders.len() > 1 {
                holders.iter().for_each(|at| graph.tokens[*at].push(graph.holders.len()));
                graph.holders.push((kind, holders));
            }
        }
        graph
    }

    /// Returns the colours of every round, the first ones first.
    pub(super) fn refine(&self, first: Vec<u64>) -> Vec<Vec<u64>> {
        let mut rounds = vec![first];
        for _ in 0..ROUNDS {
            let before = &rounds[rounds.len() - 1];
            let token = |(kind, holders): &(usize, Vec<usize>)| {
                let mut around: Vec<u64> = holders.iter().map(|at| before[*at]).collect();
                around.sort_unstable();
                colour(&(kind, around))
            };
            let tokens: Vec<u64> = self.holders.iter().map(token).collect();
            let record = |(at, mine): (usize, &Vec<usize>)| {
                let mut around: Vec<u64> = mine.iter().map(|token| tokens[*token]).collect();
                around.sort_unstable();
                colour(&(before[at], around))
            };
            let after = self.tokens.iter().enumerate().map(record).collect();
            rounds.push(after);
        }
        rounds
    }
}

/// Returns the same number for the same thing, in every graph.
pub(super) fn colour(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Returns the share of records whose colour nobody else has.
pub(super) fn unique(colours: &[u64]) -> f64 {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    colours.iter().for_each(|colour| *counts.entry(*colour).or_default() += 1);
    let alone = colours.iter().filter(|colour| counts[colour] == 1).count();
    alone as f64 / colours.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ada shares one token with Bob and another with Eve, who share none; Zoe is alone.
    const TOWN: [&[(usize, u64)]; 5] =
        [&[(1, 7), (2, 8)], &[(1, 7), (3, 1)], &[(2, 8)], &[(3, 5)], &[(3, 6)]];

    #[test]
    fn surroundings_tell_people_apart_and_unshared_tokens_do_not() {
        let graph = Graph::new(TOWN.into_iter());
        let rounds = graph.refine(vec![0; 5]);
        assert!((unique(&rounds[0]) - 0.0).abs() < 1e-9);
        assert!((unique(&rounds[ROUNDS]) - 0.6).abs() < 1e-9);
        assert_eq!(rounds[ROUNDS][3], rounds[ROUNDS][4]);
    }

    #[test]
    fn other_tokens_of_the_same_shape_give_the_same_colours() {
        let renamed: [&[(usize, u64)]; 3] = [&[(1, 70), (2, 80)], &[(1, 70)], &[(2, 80), (3, 9)]];
        let (a, b) = (Graph::new(TOWN.into_iter()), Graph::new(renamed.into_iter()));
        let (a, b) = (a.refine(vec![0; 5]), b.refine(vec![0; 3]));
        assert_eq!(a[ROUNDS][..3], b[ROUNDS][..]);
    }
}
