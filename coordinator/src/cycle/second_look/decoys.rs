//! Hides who is asked about for a reason among others.

use causeway_proto::kind::MatchKeyKind;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use ring::rand::{SecureRandom, SystemRandom};

use super::{Ask, Asked};
use crate::{federation::Problem, link::Records};

/// Decoys among however few questions.
const LEAST_DECOYS: usize = 32;

/// Adds whoever came and has to be asked about for nothing else, and decoys: as many records of the same
/// agency as are asked about and did not come, since a node knows who of its people changed. Kinds are
/// drawn from genuine questions. Everything is put in the order of the stream, in which the node keeps
/// its rows.
///
/// Without randomness there are no decoys, and without decoys nobody is asked.
pub(super) fn with_decoys(
    records: &Records,
    agency: usize,
    asks: &[Ask],
    Asked { came, alone, like, .. }: Asked<'_>,
) -> Result<Vec<Ask>, Problem> {
    let alone = alone.iter().copied().filter(|record| records.agency(*record) == agency);
    let mut alone = alone.peekable();
    let mut all = asks.to_vec();
    if all.is_empty() && alone.peek().is_none() {
        return Ok(all);
    }
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| Problem::NoDecoys)?;
    let mut random = StdRng::from_seed(seed);
    let mut as_usual = || match like.len() {
        0 => (MatchKeyKind::ALL[random.random_range(0..MatchKeyKind::COUNT)], 0),
        pairs => {
            let (kind, slots) = like[random.random_range(0..pairs)].carrier();
            (kind, slots[random.random_range(0..2)])
        }
    };
    for record in alone {
        let (kind, slot) = as_usual();
        all.push((record, kind, slot));
    }
    let unchanged = asks.iter().filter(|(record, ..)| came.binary_search(record).is_err());
    let mut unchanged: Vec<(MatchKeyKind, u8)> =
        unchanged.map(|(_, kind, slot)| (*kind, *slot)).collect();
    for _ in unchanged.len()..LEAST_DECOYS {
        unchanged.push(as_usual());
    }
    for (kind, slot) in unchanged {
        let decoy = records.number(agency, random.random_range(0..records.rows(agency)));
        // Somebody who left the sweep would stand out.
        if !records.is_gone(decoy) {
            all.push((decoy, kind, slot));
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
