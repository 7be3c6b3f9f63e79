//! Makes records ready to be compared: normalises them, and makes their match-keys, on all cores.

use std::collections::{BTreeSet, HashMap};

use causeway_proto::{day::Day, kind::MatchKeyKind};
use rayon::prelude::*;

use super::{
    dedupe::{Piece, Unnamed},
    persons::Reading,
};
use crate::{
    normalise::{Person, Rules, normalise, over_frequent},
    progress::Progress,
    source::RawPerson,
    store::records::Stored,
    tokenise::{
        profile::Profile,
        recipe::{MatchKeys, Y, match_keys},
    },
};

/// A record with what normalising made of it.
pub(super) struct Known {
    pub(super) stored: Stored,
    pub(super) person: Person,
}

/// Normalises records.
pub(super) fn known(reading: &Reading<'_>, records: Vec<Stored>) -> Vec<Known> {
    let rules: HashMap<&str, Rules> =
        reading.feeds.iter().map(|feed| (feed.id(), Rules::of(feed, reading.as_at))).collect();
    let progress = Progress::begin("records normalised", records.len());
    let known = records.into_par_iter().filter_map(|stored| {
        progress.add(1);
        // A feed that the settings name no more keeps its records, and they belong to nobody.
        let rules = rules.get(stored.feed.as_str())?;
        let (person, _) = normalise(&RawPerson::unpack(&stored.fields), rules);
        Some(Known { stored, person })
    });
    known.collect()
}

/// Returns the dates of birth of most of an agency's records that stand for "not known".
pub(super) fn default_births(known: &[Known]) -> BTreeSet<Day> {
    let open = known.iter().filter(|known| !known.stored.restricted);
    over_frequent(open.map(|known| &known.person))
}

/// Makes match-keys. Of a date of birth that stands for "not known", the year counts.
pub(super) fn keyed(
    keys: &MatchKeys,
    defaults: &BTreeSet<Day>,
    known: Vec<Known>,
) -> Vec<(Known, Piece)> {
    let progress = Progress::begin("match-keys made", known.len());
    let keyed = known.into_par_iter().map(|mut known| {
        progress.add(1);
        let piece = piece(keys, defaults, &mut known.person, &known.stored.feed);
        (known, piece)
    });
    keyed.collect()
}

/// Makes one record of a feed ready to be compared.
pub(super) fn piece(
    keys: &MatchKeys,
    defaults: &BTreeSet<Day>,
    person: &mut Person,
    feed: &str,
) -> Piece {
    let birth = &mut person.birth;
    if birth.day().is_some_and(|day| defaults.contains(&day)) {
        *birth = birth.year_only();
    }
    let profile = Profile::of(&[person]);
    let keys = keys_of(keys, &profile);
    let is_named = person.names.iter().any(|name| name.forename.is_some());
    let unnamed =
        (person.newborn && !is_named).then(|| Unnamed { feed: feed.to_owned(), twin: person.twin });
    Piece { unnamed, ..Piece::new(profile, keys) }
}

/// Makes the match-keys of one person.
pub(super) fn keys_of(keys: &MatchKeys, profile: &Profile) -> Vec<(MatchKeyKind, usize, Y)> {
    let mut all = Vec::with_capacity(40);
    match_keys(keys, profile, |kind, slot, y| all.push((kind, slot, y)));
    all
}
