//! What the coordinator received in one sweep, read back for an attack on it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use causeway_certs::certificate::unhex;
use causeway_node::measure;
use causeway_proto::{
    ids::{AgencyId, Handle, SweepId},
    kind::MatchKeyKind,
    linkage::comparison::{Atom, Comparison, Presence, WIDTH, Word},
};

use crate::{
    link,
    standard::{self, StandardAgency},
    town::{Plan, Town, process::Launcher},
};

/// Dwellings, among the kinds of tokens: records of one home share it like a match-key.
pub(super) const HOME: usize = MatchKeyKind::COUNT;

/// One record as the coordinator sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The place of its agency.
    pub(super) agency: usize,
    /// The person that the coordinator took it for.
    pub(super) person: u32,
    /// What the node said beside the tokens.
    pub(super) flags: u8,
    /// Kind and re-keyed token.
    pub(super) tokens: Vec<(usize, u64)>,
    /// What the second looks at it show, whatever they were salted with.
    pub(super) look: Option<Look>,
    /// The record's key in its export, which no coordinator learns: for judging a guess.
    pub(super) key: String,
}

/// What can be read off comparisons without knowing their salt: from each alone, and from those of
/// one block held against each other.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// By field: how many others have it as well.
    pub(super) shared: [u16; Presence::COUNT],
    /// By field: with how many others it was compared without a sign of it.
    pub(super) silent: [u16; Presence::COUNT],
    /// Whether the surname is rare, where somebody else bears it.
    pub(super) rare: Option<bool>,
    /// Which atoms are equal to an earlier one: the first equal one's place, for each.
    pub(super) equal: [u8; Atom::COUNT],
    /// How many bits are set in each word, on average, which could tell how long a text is. After the
    /// words, in how many bits forename and surname differ.
    pub(super) bits: [f32; Word::COUNT + 1],
    looks: u16,
}

impl Look {
    fn of(comparison: &Comparison) -> Self {
        let atoms = &comparison.atoms;
        let mut equal = [0; Atom::COUNT];
        for (at, atom) in atoms.iter().enumerate() {
            let first = atoms.iter().position(|other| other == atom).unwrap_or(at);
            equal[at] = u8::try_from(first).expect("few atoms");
        }
        let mut bits = [0.0; Word::COUNT + 1];
        for (bits, word) in bits.iter_mut().zip(&comparison.words) {
            *bits = word.count_ones() as f32;
        }
        // Not letters: each digit's own hash.
        bits[Word::Digits as usize] = 0.0;
        let differing = comparison.word(Word::Forename) ^ comparison.word(Word::Surname);
        bits[Word::COUNT] = differing.count_ones() as f32;
        let none = [0; Presence::COUNT];
        Self { shared: none, silent: none, rare: None, equal, bits, looks: 1 }
    }

    /// Takes another look at the same record into account.
    fn add(&mut self, other: &Self) {
        let (before, after) = (f32::from(self.looks), f32::from(self.looks + 1));
        for (bits, more) in self.bits.iter_mut().zip(&other.bits) {
            *bits = (*bits * before + more) / after;
        }
        for (at, (mine, theirs)) in self.equal.iter_mut().zip(&other.equal).enumerate() {
            // What is equal under one salt only is equal by accident.
            if mine != theirs {
                *mine = u8::try_from(at).expect("few atoms");
            }
        }
        self.looks += 1;
    }

    /// Takes into account what the record's comparison shows beside another one of its block.
    fn beside(&mut self, mine: &Comparison, other: &Comparison) {
        let both = mine.shared(other);
        for (bit, (shared, silent)) in self.shared.iter_mut().zip(&mut self.silent).enumerate() {
            *(if both.has(1 << bit) { shared } else { silent }) += 1;
        }
        let same = |atom: Atom| mine.atom(atom) == other.atom(atom);
        if both.has(Presence::SURNAME) && same(Atom::Surname) {
            self.rare = Some(same(Atom::SurnameRare));
        }
    }
}

/// Runs a town over the sources and returns what its coordinator received. Somebody who runs it to
/// attack another looks at everybody.
pub(super) fn sweep(
    sources: &[StandardAgency],
    folder: &Path,
    launcher: Launcher,
    look_at_all: bool,
) -> anyhow::Result<Vec<Seen>> {
    let as_at = standard::as_at(sources)?;
    let agencies = link::agencies(sources, folder)?;
    let plan = Plan { agencies, as_at, measure_links: false, measure_dump: true, look_at_all };
    let mut town = Town::make(&folder.join("town"), launcher, plan)?;
    town.ingest()?;
    town.start_nodes()?;
    let file = folder.join("received.txt");
    let (day, path) = (as_at.to_string(), file.display().to_string());
    let (report, _) = town.coordinate(&["sweep", "--as-at", &day, "--dump-out", &path])?;
    town.stop()?;
    link::problems(&report)?;
    let (sweep, mut records) = read(&file, &town)?;
    let runtime = tokio::runtime::Runtime::new()?;
    for (agency, node) in town.nodes().iter().enumerate() {
        let config = town.load_node_config(&node.agency.id)?;
        let mine = || records.iter().enumerate().filter(|(_, (_, seen))| seen.agency == agency);
        let places: Vec<usize> = mine().map(|(at, _)| at).collect();
        let handles: Vec<Handle> = mine().map(|(_, (handle, _))| *handle).collect();
        let behind = runtime.block_on(measure::resolve(&config, sweep, &handles))?;
        for (at, records_behind) in places.into_iter().zip(behind) {
            let first = records_behind.into_iter().map(|(_, key)| key).min();
            records[at].1.key = first.context("nothing is behind a handle")?;
        }
    }
    Ok(records.into_iter().map(|(_, seen)| seen).collect())
}

/// Writes both sides of an attack: a line for each record, with its side, agency, person as linked,
/// key in its export, flags and tokens, and what the second looks show beside them: by field how many
/// others have it and how many show nothing there, and whether the surname is rare.
pub(super) fn write(file: &Path, seen: &[Seen], register: &[Seen]) -> anyhow::Result<()> {
    let mut out = BufWriter::new(fs::File::create(file)?);
    for (side, records) in [("seen", seen), ("register", register)] {
        for Seen { agency, person, key, flags, tokens, look } in records {
            write!(out, "{side},{agency},{person},{key},{flags:x}")?;
            for (kind, token) in tokens {
                write!(out, ",{kind}.{token:x}")?;
            }
            if let Some(Look { shared, silent, rare, .. }) = look {
                shared.iter().zip(silent).try_for_each(|(s, n)| write!(out, ",look.{s}.{n}"))?;
                write!(out, ",rarity.{}", rare.map_or(-1, i8::from))?;
            }
            writeln!(out)?;
        }
    }
    Ok(out.flush()?)
}

fn read(file: &Path, town: &Town) -> anyhow::Result<(SweepId, Vec<(Handle, Seen)>)> {
    let ids: BTreeMap<&AgencyId, usize> =
        town.nodes().iter().map(|node| &node.agency.id).zip(0..).collect();
    let text = fs::read_to_string(file).context("the coordinator wrote nothing down")?;
    let mut records: Vec<(Handle, Seen)> = Vec::new();
    let mut place: HashMap<(usize, Handle), usize> = HashMap::new();
    let mut tokens_of: HashMap<(usize, usize, usize), u64> = HashMap::new();
    let mut blocks: BTreeMap<(usize, u64), Vec<(usize, Comparison)>> = BTreeMap::new();
    let mut sweep = None;
    for line in text.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        match fields.as_slice() {
            ["sweep", id] => sweep = Some(SweepId::from_bytes(sixteen(id)?)),
            ["record", agency, handle, person, flags, tokens @ ..] => {
                let agency = ids[&agency.parse::<AgencyId>()?];
                let handle = Handle::from_bytes(sixteen(handle)?);
                place.insert((agency, handle), records.len());
                let mut seen = Seen {
                    agency,
                    person: person.parse()?,
                    flags: u8::from_str_radix(flags, 16)?,
                    ..Seen::default()
                };
                for token in tokens {
                    let (kind, slot, token) = read_token(token)?;
                    tokens_of.insert((records.len(), kind, slot), token);
                    seen.tokens.push((kind, token));
                }
                records.push((handle, seen));
            }
            ["look", agency, handle, kind, slot, packed] => {
                let agency = ids[&agency.parse::<AgencyId>()?];
                let at = place[&(agency, Handle::from_bytes(sixteen(handle)?))];
                let packed = unhex(packed).context("a comparison is not hexadecimal")?;
                let packed: [u8; WIDTH] =
                    packed.try_into().map_err(|_| anyhow::anyhow!("a comparison is cut short"))?;
                let comparison = Comparison::read(&packed);
                let (kind, slot) = (kind.parse()?, slot.parse()?);
                let salt = tokens_of.get(&(at, kind, slot)).context("a look has no token")?;
                blocks.entry((kind, *salt)).or_default().push((at, comparison));
                let look = Look::of(&comparison);
                match &mut records[at].1.look {
                    Some(before) => before.add(&look),
                    none => *none = Some(look),
                }
            }
            ["home", agency, handle, keys @ ..] => {
                let agency = ids[&agency.parse::<AgencyId>()?];
                let at = place[&(agency, Handle::from_bytes(sixteen(handle)?))];
                let homes = keys.iter().filter(|key| !key.is_empty());
                let homes = homes.map(|key| (HOME, super::refine::colour(key)));
                records[at].1.tokens.extend(homes);
            }
            _ => anyhow::bail!("what was received has a line of another shape"),
        }
    }
    for block in blocks.values() {
        for (at, mine) in block {
            for (_, other) in block.iter().filter(|(other, _)| other != at) {
                let look = records[*at].1.look.as_mut().context("it was looked at")?;
                look.beside(mine, other);
            }
        }
    }
    Ok((sweep.context("what was received names no sweep")?, records))
}

fn read_token(text: &str) -> anyhow::Result<(usize, usize, u64)> {
    let mut parts = text.split('.');
    let mut next = || parts.next().context("a token has three parts");
    let (kind, slot, token) = (next()?, next()?, next()?);
    Ok((kind.parse()?, slot.parse()?, u64::from_str_radix(token, 16)?))
}

fn sixteen(text: &str) -> anyhow::Result<[u8; 16]> {
    let bytes = unhex(text).context("a handle is not hexadecimal")?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("a handle has 16 bytes"))
}
