//! Finds records of one agency that are one person, before anybody else hears of them.
//!
//! Within one police force a woman may be two nominals, and what is known of her falls apart. The
//! same comparison, weights, guards and clusters serve here as between agencies; only that nothing
//! has to be hidden, so the comparisons share one salt.

use std::collections::HashMap;

use aes::{Aes128, cipher::KeyInit};
use causeway_proto::{
    kind::MatchKeyKind,
    linkage::{
        ambiguity,
        cluster::{self, Edge, Member},
        comparison::Comparison,
        guards::{self, Doubt, StrongIds, Verdict},
        levels::{ComparisonField, Levels},
        weights::{Among, ENOUGH_MATCHES, Pattern, Strangers, Weights},
    },
};
use rayon::prelude::*;

use super::{blocking, equals::Equals};
use crate::{
    progress::Progress,
    tokenise::{
        compare::Comparer,
        profile::Profile,
        recipe::Y,
        sketch::{self, Sketch},
        strangers,
    },
};

/// One record, ready to be compared.
pub struct Piece {
    /// Its forms.
    pub profile: Profile,
    /// Its packed sketch.
    pub sketch: Vec<u8>,
    /// Its match-keys, kind by kind.
    pub keys: Vec<(MatchKeyKind, usize, Y)>,
    /// A newborn whom nobody has named yet.
    pub unnamed: Option<Unnamed>,
}

/// A newborn without a forename. Twins are two of them who agree in everything.
#[derive(Clone, PartialEq, Eq)]
pub struct Unnamed {
    /// Of which feed.
    pub feed: String,
    /// Which of twins, where their stand-in for a name says so.
    pub twin: Option<u8>,
}

impl Unnamed {
    /// Returns whether two of them have to be taken for two people: a system writes each child down once.
    fn are_two(&self, other: &Self) -> bool {
        let numbered = self.twin.is_some() && other.twin.is_some();
        if numbered { self.twin != other.twin } else { self.feed == other.feed }
    }
}

/// Two records to be compared, and the kinds of match-keys that they share: bit [`MatchKeyKind::index`].
type Shared = (u32, u32, u32);

/// Random pairs of different records to learn from how strangers agree: at most so many, and no more
/// than there are.
const SAMPLED_PAIRS: usize = 100_000;

/// How many records may share a match-key that hardly anybody but one person holds, to be compared with each
/// other: some are written down hundreds of times.
const MOST_DOUBLES: usize = 400;

/// Matches among so many records teach how one person agrees, if there are [`ENOUGH_MATCHES`]: far more
/// than there are twins.
const LEARN_FROM_SHARE: f64 = 0.1;

/// Where fewer relatives than matches show, so large a share is enough: then there is hardly anybody else whose
/// likeness could be learnt for one person's.
const LEARN_ALONE_FROM_SHARE: f64 = 0.02;

/// What was learnt and finds so many times as many matches as were supposed has taken people of like names for
/// one. Where it is right it finds up to half as many again.
const RUN_AWAY: f64 = 2.0;

/// Of somebody who is on record more often, so many of each record's doubles count when it comes to how one
/// person agrees: otherwise the few who are written down hundreds of times would teach everything.
const DOUBLES_COUNTED: f64 = 5.0;

impl Piece {
    /// Prepares a record.
    pub fn new(profile: Profile, mut keys: Vec<(MatchKeyKind, usize, Y)>) -> Self {
        keys.sort_by_key(|(kind, ..)| kind.index());
        Self { sketch: sketch::encode(&profile), profile, keys, unnamed: None }
    }

    /// Reads its sketch.
    pub fn sketch(&self) -> Sketch<'_> {
        Sketch::read(&self.sketch).expect("it was packed just now")
    }

    /// Returns of which kinds it has match-keys: bit [`MatchKeyKind::index`].
    fn kinds(&self) -> u32 {
        self.keys.iter().fold(0, |all, (kind, ..)| all | 1 << kind.index())
    }

    /// Returns its match-keys of one kind.
    pub fn of_kind(&self, kind: MatchKeyKind) -> impl Iterator<Item = Y> {
        let from = self.keys.partition_point(|(of, ..)| of.index() < kind.index());
        let mine = self.keys[from..].iter().take_while(move |(of, ..)| *of == kind);
        mine.map(|(.., y)| *y)
    }
}

/// Puts records of one person together: returns a group number for each record, the lowest place in
/// the group, and the weights that decided.
///
/// With `known` weights nothing is learnt: a few records teach nothing.
pub fn group(pieces: &[Piece], known: Option<&Weights>) -> (Vec<u32>, Weights) {
    let equals = Equals::of(pieces);
    let pieces = &equals.one_each[..];
    let comparisons = comparisons(pieces);
    let pairs = pairs(pieces);
    let levels = levels(&comparisons, &pairs);
    let ids: Vec<StrongIds> = pairs
        .par_iter()
        .map(|(a, b, _)| strong_ids(pieces[*a as usize], pieces[*b as usize]))
        .collect();
    let weights = match known {
        Some(weights) => weights.clone(),
        None => learn(&comparisons, (&pairs, &levels, &ids), &equals),
    };

    let verdicts: Vec<Verdict> =
        levels.iter().zip(&ids).map(|(levels, ids)| guards::verdict(*levels, *ids)).collect();
    let mut bits: Vec<Option<f64>> = verdicts
        .iter()
        .zip(levels.iter().zip(&ids))
        .map(|(verdict, (levels, ids))| {
            guards::guarded(*verdict, weights.score(*levels, ids.agreeing))
        })
        .collect();
    // A record of whose birth date another with its own number knows better keeps nobody apart.
    let compared = pairs.iter().zip(levels.iter().zip(&ids));
    let compared = compared.map(|((a, b, _), (levels, ids))| (*a, *b, *levels, *ids));
    let disputed = guards::birth_disputed(pieces.len(), compared);
    for (((a, b, _), verdict), bits) in pairs.iter().zip(&verdicts).zip(&mut bits) {
        let in_doubt = *verdict == Verdict::Doubtful(Doubt::Generations);
        if in_doubt && bits.is_none() && (disputed[*a as usize] || disputed[*b as usize]) {
            *bits = Some(cluster::ABSENT_BITS);
        }
    }
    let are_twins = |x: u32, y: u32, ids: StrongIds| {
        let unnamed = pieces[x as usize].unnamed.as_ref().zip(pieces[y as usize].unnamed.as_ref());
        ids.agreeing == 0 && unnamed.is_some_and(|(x, y)| x.are_two(y))
    };
    for (((a, b, _), ids), bits) in pairs.iter().zip(&ids).zip(&mut bits) {
        *bits = bits.filter(|_| !are_twins(*a, *b, *ids));
    }
    let are_two = |x: u32, y: u32| {
        let pair = (x.min(y), x.max(y));
        match pairs.binary_search_by_key(&pair, |(a, b, _)| (*a, *b)) {
            Ok(at) => guards::are_two(verdicts[at], bits[at]),
            Err(_) => {
                let ids = strong_ids(pieces[x as usize], pieces[y as usize]);
                ids.conflicting > 0 || are_twins(x, y, ids)
            }
        }
    };
    let weighed = || pairs.iter().zip(&bits).map(|((a, b, _), bits)| (*a, *b, *bits));
    let unclear = ambiguity::ambiguous(pieces.len(), weighed(), are_two);
    let edges: Vec<Edge> = weighed()
        .map(|(a, b, bits)| {
            let unclear = unclear[a as usize] || unclear[b as usize];
            Edge { a, b, bits: bits.filter(|_| !unclear) }
        })
        .collect();
    let members: Vec<Member> =
        pieces.iter().zip(0..).map(|(piece, at)| member(piece, at)).collect();
    (equals.spread(&cluster::cluster(&members, &edges)), weights)
}

fn comparisons(pieces: &[&Piece]) -> Vec<Comparison> {
    let numbered = pieces.par_iter().enumerate();
    numbered.map(|(at, piece)| comparison(&piece.sketch(), at as u64)).collect()
}

/// What a record is compared by. What it lacks differs from record to record, so each needs a number of its
/// own.
pub(super) fn comparison(sketch: &Sketch<'_>, number: u64) -> Comparison {
    // Nothing leaves: the key only has to be one.
    let cipher = Aes128::new(&[0; 16].into());
    Comparer::new(&cipher).compare(&[0; 16], number, sketch)
}

fn levels(comparisons: &[Comparison], pairs: &[Shared]) -> Vec<Levels> {
    /// Pairs that are counted together: a core is at them for a millisecond.
    const AT_ONCE: usize = 1 << 13;
    let progress = Progress::begin("pairs compared", pairs.len());
    let of_some = pairs.par_chunks(AT_ONCE).flat_map_iter(|some| {
        progress.add(some.len());
        let ends = some.iter().map(|(a, b, _)| (*a as usize, *b as usize));
        ends.map(|(a, b)| Levels::of(&comparisons[a], &comparisons[b]))
    });
    of_some.collect()
}

/// Pairs of records that share a match-key or a block, with the kinds of match-keys they share, in order.
fn pairs(pieces: &[&Piece]) -> Vec<Shared> {
    let progress = Progress::begin("kinds of match-keys looked up", MatchKeyKind::COUNT);
    let found = MatchKeyKind::ALL.par_iter().flat_map_iter(|kind| {
        progress.add(1);
        of_kind(pieces, *kind)
    });
    let mut pairs: Vec<Shared> = found.collect();
    let sketches: Vec<Sketch<'_>> = pieces.par_iter().map(|piece| piece.sketch()).collect();
    pairs.par_extend(blocking::pairs(&sketches).into_par_iter().map(|(a, b)| (a, b, 0)));
    pairs.par_sort_unstable();
    pairs.dedup_by(|(a, b, kind), first| {
        let same = (*a, *b) == (first.0, first.1);
        first.2 |= if same { *kind } else { 0 };
        same
    });
    pairs
}

/// Pairs of records that share a match-key of one kind.
fn of_kind(pieces: &[&Piece], kind: MatchKeyKind) -> Vec<Shared> {
    let records = pieces.iter().zip(0u32..);
    let keys = records.flat_map(|(piece, at)| piece.of_kind(kind).map(move |y| (y, at)));
    let column = blocking::in_order(keys.collect());
    let most = match kind.most_records() {
        1 => blocking::affordable(&column),
        _ => MOST_DOUBLES,
    };
    blocking::inside(&column, most).into_iter().map(|(a, b)| (a, b, 1 << kind.index())).collect()
}

fn strong_ids(a: &Piece, b: &Piece) -> StrongIds {
    let (a, b) = (&a.profile, &b.profile);
    let schemes = [(&a.nhs, &b.nhs), (&a.upn, &b.upn), (&a.nino, &b.nino)];
    let both = schemes.into_iter().filter(|(a, b)| !a.is_empty() && !b.is_empty());
    both.fold(StrongIds::default(), |mut ids, (a, b)| {
        if a == b {
            ids.agreeing += 1;
        } else {
            ids.conflicting += 1;
        }
        ids
    })
}

fn learn(
    comparisons: &[Comparison],
    (pairs, levels, ids): (&[Shared], &[Levels], &[StrongIds]),
    equals: &Equals<'_>,
) -> Weights {
    // As many pairs as there would be of all records, and no more of any one than are counted.
    let (times, doubles) = (&equals.times, doubles(pairs, equals));
    let counted = |a: usize, b: usize, pairs: f64| {
        let most = doubles[a].max(doubles[b]).max(DOUBLES_COUNTED);
        pairs * DOUBLES_COUNTED / most
    };
    let mut counts: HashMap<(Levels, u32), f64> = HashMap::new();
    for (((a, b, kinds), levels), ids) in pairs.iter().zip(levels).zip(ids) {
        if ids.conflicting == 0 {
            let (a, b) = (*a as usize, *b as usize);
            *counts.entry((*levels, *kinds)).or_default() += counted(a, b, times[a] * times[b]);
        }
    }
    for (at, (piece, one)) in equals.one_each.iter().zip(comparisons).enumerate() {
        if times[at] > 1.0 {
            let other = comparison(&piece.sketch(), (comparisons.len() + at) as u64);
            let alike = (Levels::of(one, &other), piece.kinds());
            *counts.entry(alike).or_default() +=
                counted(at, at, times[at] * (times[at] - 1.0) / 2.0);
        }
    }
    let mut patterns: Vec<Pattern> = counts
        .into_iter()
        .map(|((levels, kinds), pairs)| Pattern { levels, kinds, pairs })
        .collect();
    // Sums in a fixed order give the same weights every time.
    patterns.sort_unstable_by_key(|pattern| (pattern.levels, pattern.kinds));
    let all: f64 = times.iter().sum();
    let strangers = strangers(comparisons);
    let total_pairs = all * (all - 1.0) / 2.0;
    let supposed = Weights::suppose(&patterns, &strangers, all);
    // Most agencies hold few people twice, and would learn how relatives agree; a handful of records
    // would learn from itself that they are one person.
    let matches = supposed.matches_among(&patterns);
    let share = match supposed.relatives_among(&patterns) < matches {
        true => LEARN_ALONE_FROM_SHARE,
        false => LEARN_FROM_SHARE,
    };
    if matches < ENOUGH_MATCHES.max(share * all) {
        return supposed;
    }
    let learnt = Weights::estimate(&patterns, &strangers, total_pairs, Among::OneAgency);
    match learnt.matches_among(&patterns) > RUN_AWAY * matches {
        true => supposed,
        false => learnt,
    }
}

/// Counts for each record the others that share a key with it that hardly anybody but one person holds, and
/// those that say the same.
fn doubles(pairs: &[Shared], equals: &Equals<'_>) -> Vec<f64> {
    let of_one = MatchKeyKind::ALL.iter().filter(|kind| kind.most_records() > 1);
    let of_one = of_one.fold(0, |all, kind| all | 1 << kind.index());
    let times = &equals.times;
    let mut doubles: Vec<f64> = times.iter().map(|times| times - 1.0).collect();
    for (a, b, _) in pairs.iter().filter(|(.., kinds)| kinds & of_one != 0) {
        doubles[*a as usize] += times[*b as usize];
        doubles[*b as usize] += times[*a as usize];
    }
    doubles
}

/// Counts how random pairs agree.
fn strangers(comparisons: &[Comparison]) -> Strangers {
    let mut strangers = Strangers::new();
    // A fixed seed: the same records give the same weights.
    let counts = strangers::count(comparisons, SAMPLED_PAIRS, [0; 32]);
    for field in ComparisonField::ALL {
        let counts = counts[*field as usize][..field.levels()].iter();
        strangers.add(*field, &counts.map(|count| *count as f64).collect::<Vec<f64>>());
    }
    strangers
}

fn member(piece: &Piece, at: u64) -> Member {
    // Any number that is the same for equal ids and different for others will do.
    let id = |text: &str| match text {
        "" => 0,
        text => text.bytes().fold(1, |sum: u64, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(5)
        }),
    };
    let Profile { nhs, upn, nino, .. } = &piece.profile;
    Member { sole_of: None, strong_ids: [id(nhs), id(upn), id(nino)], rank: at }
}
