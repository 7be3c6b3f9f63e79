//! Guesses who a token graph's records are, from a clear register that was hashed under another key.

use std::collections::HashMap;

use causeway_proto::linkage::comparison::Presence;

use super::{
    refine::{Graph, colour},
    view::Seen,
};

/// How often what was found out is used to find out more.
const ROUNDS: usize = 6;
/// Second looks that differ by so much show different people, in squared bits.
const CLEAR_MARGIN: f32 = 12.0;
/// What a difference in the equal atoms counts, in squared bits.
const UNEQUAL: f32 = 4.0;
/// What a field counts that the register does not have, or a name of another rarity: the register is
/// exact.
const IMPOSSIBLE: f32 = 1e6;
/// Nothing is so likely that its absence is more surprising than this.
const MOST_LIKELY: f32 = 0.98;

/// What an attack takes from second looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sight {
    /// Which fields others have as well.
    pub(super) presence: bool,
    /// Whether surnames are rare that others bear as well.
    pub(super) rarity: bool,
    /// Which atoms of one record are equal.
    pub(super) equal: bool,
    /// How many bits are set in each word.
    pub(super) bits: bool,
}

impl Sight {
    /// Everything that tells anything. How many bits are set tells nothing (`by_part` measures it), and
    /// an attacker who listened to noise would find fewer.
    pub(super) const ALL: Self = Self { presence: true, rarity: true, equal: true, bits: false };

    fn is_blind(self) -> bool {
        !(self.presence || self.rarity || self.equal || self.bits)
    }
}

/// Both sides of an attack on one agency's records.
pub(super) struct Attack<'a> {
    target: Vec<&'a Seen>,
    register: Vec<&'a Seen>,
    target_graph: Graph,
    register_graph: Graph,
    sight: Sight,
    /// By field: what it counts if a record that has it is compared without a sign of it, in squared
    /// bits.
    silence: [f32; Presence::COUNT],
}

/// For each record the people of the register that it may be, all equally likely.
pub(super) type Guesses = Vec<Vec<usize>>;

impl<'a> Attack<'a> {
    /// Takes one agency's records as the coordinator sees them, and the register as the attacker sees
    /// it in a town of their own.
    pub(super) fn new(target: Vec<&'a Seen>, register: Vec<&'a Seen>, sight: Sight) -> Self {
        let graph = |side: &[&'a Seen]| Graph::new(side.iter().map(|seen| seen.tokens.as_slice()));
        let (target_graph, register_graph) = (graph(&target), graph(&register));
        let silence = silence(&target, &register);
        Self { target, register, target_graph, register_graph, sight, silence }
    }

    /// Guesses, knowing some: pairs of a record and its place in the register.
    ///
    /// Whoever is found beyond doubt counts as known in the next round.
    pub(super) fn guess(&self, known: &[(usize, usize)]) -> Guesses {
        let mut known: HashMap<usize, usize> = known.iter().copied().collect();
        let mut guesses = Guesses::new();
        for _ in 0..ROUNDS {
            let (found, sure) = self.round(&known);
            guesses = found;
            let before = known.len();
            // Two records cannot be one person: then neither is beyond doubt.
            let mut claims: HashMap<usize, usize> = HashMap::new();
            sure.iter().for_each(|(_, person)| *claims.entry(*person).or_default() += 1);
            known.extend(sure.into_iter().filter(|(_, person)| claims[person] == 1));
            if known.len() == before {
                break;
            }
        }
        guesses
    }

    /// One round: everybody's candidates, and those who are beyond doubt.
    fn round(&self, known: &HashMap<usize, usize>) -> (Guesses, Vec<(usize, usize)>) {
        let begin = |side: &[&Seen]| -> Vec<u64> {
            side.iter().map(|seen| colour(&(0, seen.flags))).collect()
        };
        let (mut first, mut clear) = (begin(&self.target), begin(&self.register));
        for (record, person) in known {
            first[*record] = colour(&(1, person));
            clear[*person] = first[*record];
        }
        let seen = self.target_graph.refine(first);
        let clear = self.register_graph.refine(clear);
        let classes: Vec<HashMap<u64, Vec<usize>>> = clear
            .iter()
            .map(|colours| {
                let mut classes: HashMap<u64, Vec<usize>> = HashMap::new();
                colours.iter().zip(0..).for_each(|(c, at)| classes.entry(*c).or_default().push(at));
                classes
            })
            .collect();
        let mut sure = Vec::new();
        let mut guesses = Guesses::with_capacity(self.target.len());
        let mut alike: HashMap<u64, Vec<Vec<usize>>> = HashMap::new();
        for at in 0..self.target.len() {
            // The finest colour that anybody in the register has too.
            let rounds = seen.iter().zip(&classes).enumerate().rev();
            let class = rounds
                .filter_map(|(round, (colours, classes))| {
                    classes.get(&colours[at]).map(|class| (colour(&(round, colours[at])), class))
                })
                .next();
            let (guess, certain) = match class {
                None => (Vec::new(), false),
                Some((name, class)) => {
                    let groups = alike.entry(name).or_insert_with(|| self.look_alikes(class));
                    self.by_look(at, class, groups)
                }
            };
            if certain && guess.len() == 1 && !known.contains_key(&at) {
                sure.push((at, guess[0]));
            }
            guesses.push(guess);
        }
        (guesses, sure)
    }

    /// Puts those of a class together who cannot be told apart by their second looks.
    fn look_alikes(&self, class: &[usize]) -> Vec<Vec<usize>> {
        let mut groups: HashMap<_, Vec<usize>> = HashMap::new();
        for person in class {
            let look = self.register[*person].look.as_ref();
            let look =
                look.map(|look| (look.shared.map(|others| others > 0), look.rare, look.equal));
            // By their bits everybody is different.
            let own = if self.sight.bits { *person } else { 0 };
            groups.entry((look, own)).or_default().push(*person);
        }
        groups.into_values().collect()
    }

    /// Keeps those of a class whose second looks are most like the record's. Returns whether they
    /// are clearly more like it than the others.
    fn by_look(&self, at: usize, class: &[usize], groups: &[Vec<usize>]) -> (Vec<usize>, bool) {
        if self.sight.is_blind() || class.len() == 1 || self.target[at].look.is_none() {
            return (class.to_vec(), true);
        }
        let (mut best, mut second) = (f32::INFINITY, f32::INFINITY);
        let mut kept = Vec::new();
        for group in groups {
            let distance = self.distance(at, group[0]);
            if distance < best {
                (best, second) = (distance, best);
                kept.clear();
            } else if distance > best {
                second = second.min(distance);
            }
            if distance <= best {
                kept.extend(group);
            }
        }
        // Among so many, bits are closest by chance.
        (kept, second - best >= CLEAR_MARGIN && !self.sight.bits)
    }
}

/// Learns how likely somebody else in a block has a field that a record has, and what it counts that
/// they do not seem to: the log-likelihood, doubled, as for squared bits.
fn silence(target: &[&Seen], register: &[&Seen]) -> [f32; Presence::COUNT] {
    let looks = |side: &[&Seen], field: usize| {
        let looks = side.iter().filter_map(|seen| seen.look.as_ref());
        let (shared, all, has) = looks.fold((0.0, 0.0, (0.0, 0.0)), |(shared, all, has), look| {
            let (both, none) = (f32::from(look.shared[field]), f32::from(look.silent[field]));
            let had = f32::from(u8::from(look.shared[field] > 0));
            (shared + both, all + both + none, (has.0 + had, has.1 + 1.0))
        });
        (shared / f32::max(all, 1.0), has.0 / f32::max(has.1, 1.0))
    };
    std::array::from_fn(|field| {
        let (both, (_, has)) = (looks(target, field).0, looks(register, field));
        let likely = (both / f32::max(has, f32::EPSILON)).min(MOST_LIKELY);
        -2.0 * (1.0 - likely).ln()
    })
}

impl Attack<'_> {
    /// How unlike a record's and a person's second looks are.
    fn distance(&self, record: usize, person: usize) -> f32 {
        let (record, person) = (self.target[record], self.register[person]);
        let (Some(mine), Some(theirs)) = (&record.look, &person.look) else { return 0.0 };
        let mut distance = 0.0;
        if self.sight.presence {
            for (field, silence) in self.silence.iter().enumerate() {
                match theirs.shared[field] > 0 {
                    true => distance += silence * f32::from(mine.silent[field]),
                    false if mine.shared[field] > 0 => distance += IMPOSSIBLE,
                    false => {}
                }
            }
        }
        if self.sight.rarity {
            let other = mine.rare.zip(theirs.rare).is_some_and(|(mine, theirs)| mine != theirs);
            distance += IMPOSSIBLE * f32::from(u8::from(other));
        }
        if self.sight.bits {
            let bits = mine.bits.iter().zip(&theirs.bits);
            distance += bits.map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        }
        if self.sight.equal {
            let unequal = mine.equal.iter().zip(&theirs.equal).filter(|(a, b)| a != b).count();
            distance += UNEQUAL * unequal as f32;
        }
        distance
    }
}
