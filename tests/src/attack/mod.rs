//! `town attack`: how much of who is who can be found out from what the coordinator receives.
//!
//! The attacker has everything that the coordinator received in a sweep, and the largest agency's
//! register in clear text, without a mistake. They take the register through nodes of their own, under
//! a key of their own, and hold the shape of one token graph against the other (`refine`). Second looks
//! narrow down what the shape leaves open: which fields others in the block have too, how rare a name is
//! that they bear as well, which parts of a name are equal, how many letters there are. Whoever was found leads to others, and to the same person's records
//! at other agencies, which the coordinator links by design.

mod guess;
mod refine;
mod view;

use std::{collections::BTreeMap, collections::HashMap, io::Write, path::Path};

use anyhow::Context;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::Serialize;

use self::{
    guess::{Attack, Guesses, Sight},
    refine::Graph,
    view::Seen,
};
use crate::{
    standard::{self, StandardAgency},
    town::process::Launcher,
};

/// Which people the attacker knows.
const SEED: u64 = 1;
/// Which shares of the people the attacker knows.
const PARTS_KNOWN: [f64; 3] = [0.0, 0.01, 0.1];
/// Columns that tell nothing about a person: the record's number, and the truth.
const NO_FIELDS: [&str; 2] = ["local_id", "truth_id"];

/// What an attack came to, as `town attack --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct AttackReport {
    /// Records that the coordinator received.
    pub records: usize,
    /// People in the register that the attacker has.
    pub register: usize,
    /// Share of a guess at random that is right.
    pub random: f64,
    /// Share of the records re-identified by somebody who knows nobody.
    pub nobody_known: f64,
    /// The same, of other people's records, by somebody who knows 1 % of the people.
    pub one_percent_known: f64,
    /// The same with 10 %.
    pub ten_percent_known: f64,
    /// The three shares without what the second looks show.
    pub without_second_look: [f64; 3],
    /// The three shares if every record's dwelling were asked for too, as it is for people of whom an
    /// agency has something to tell.
    pub with_every_dwelling: [f64; 3],
    /// By part of the second looks: the share re-identified with it alone by somebody who knows nobody.
    pub by_part: BTreeMap<String, f64>,
    /// Share of records whose surroundings nobody else has, for somebody who knows every record of
    /// every agency beforehand.
    pub structural_uniqueness: f64,
    /// Attacks that have to succeed, or the others prove nothing.
    pub controls: Controls,
}

/// Attacks that have to succeed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Controls {
    /// The same attack where every field is a token of its own.
    pub single_field: f64,
    /// With the linkage key, the register's tokens are looked up.
    pub leaked_key: f64,
}

/// Attacks what the coordinator receives when a folder's agencies are swept.
///
/// Writes what it received, with what is behind it, to the file `seen_out` where one is named, for
/// attacks of another make.
///
/// # Errors
/// Fails when a town cannot be run.
pub fn attack(
    data: &Path,
    folder: &Path,
    seen_out: Option<&Path>,
    launcher: &Launcher,
) -> anyhow::Result<AttackReport> {
    let sources = standard::read_folder(data)?;
    let largest = (0..sources.len()).max_by_key(|at| sources[*at].rows.len());
    let largest = largest.with_context(|| format!("{} holds no CSV file", data.display()))?;
    let seen = view::sweep(&sources, &folder.join("town"), launcher.clone(), false)?;
    // A copy of the register to compare it with, so that the attacker sees second looks as well.
    let own = [sources[largest].clone(), sources[largest].clone()];
    let mut register = view::sweep(&own, &folder.join("attacker"), launcher.clone(), true)?;
    register.retain(|seen| seen.agency == 0);

    if let Some(file) = seen_out {
        view::write(file, &seen, &register)?;
    }
    let scene = Scene::new(&sources, largest, &seen, &register);
    let share = |sight: Sight, part: f64| {
        let attack = Attack::new(scene.target.clone(), register.iter().collect(), sight);
        let known = scene.known(part);
        scene.share(&attack.guess(&known), &known)
    };
    let shares = |sight: Sight| PARTS_KNOWN.map(|part| share(sight, part));
    let [nobody_known, one_percent_known, ten_percent_known] = shares(Sight::ALL);
    let parts = [
        ("presence", Sight { presence: true, ..Sight::default() }),
        ("rarity", Sight { rarity: true, ..Sight::default() }),
        ("equal_atoms", Sight { equal: true, ..Sight::default() }),
        ("set_bits", Sight { bits: true, ..Sight::default() }),
    ];
    let all = Graph::new(seen.iter().map(|seen| seen.tokens.as_slice()));
    let agencies = seen.iter().map(|seen| refine::colour(&(seen.agency, seen.flags))).collect();
    Ok(AttackReport {
        records: seen.len(),
        register: register.len(),
        random: 1.0 / register.len() as f64,
        nobody_known,
        one_percent_known,
        ten_percent_known,
        without_second_look: shares(Sight::default()),
        with_every_dwelling: scene.with_every_dwelling(&sources[largest], &register),
        by_part: parts.map(|(name, sight)| (name.to_owned(), share(sight, 0.0))).into(),
        structural_uniqueness: refine::unique(all.refine(agencies).last().context("no rounds")?),
        controls: Controls {
            single_field: single_field(&sources[largest]),
            leaked_key: scene.leaked_key(),
        },
    })
}

/// Who is who, for judging guesses.
struct Scene<'a> {
    /// The records of the agency whose register the attacker has.
    target: Vec<&'a Seen>,
    /// For each of them, its place in the register.
    place: Vec<Option<usize>>,
    /// Records of other agencies: the place in the register of the person they are of, and the
    /// `target` that the coordinator linked them to.
    others: Vec<(&'a Seen, Option<usize>, Option<usize>)>,
    people: usize,
}

impl<'a> Scene<'a> {
    fn new(
        sources: &'a [StandardAgency],
        largest: usize,
        seen: &'a [Seen],
        register: &[Seen],
    ) -> Self {
        let truth = |seen: &Seen, agency: usize| -> &'a str {
            sources[agency].truth.get(&seen.key).map_or("", String::as_str)
        };
        let place_of_key: HashMap<&str, usize> =
            register.iter().map(|seen| seen.key.as_str()).zip(0..).collect();
        let place_of_person: HashMap<&str, usize> =
            register.iter().map(|seen| truth(seen, largest)).zip(0..).collect();
        let target: Vec<&Seen> = seen.iter().filter(|seen| seen.agency == largest).collect();
        let linked: HashMap<u32, usize> = target.iter().map(|seen| seen.person).zip(0..).collect();
        let others = seen.iter().filter(|seen| seen.agency != largest);
        let others = others.map(|other| {
            let person = place_of_person.get(truth(other, other.agency)).copied();
            (other, person, linked.get(&other.person).copied())
        });
        Self {
            place: target.iter().map(|s| place_of_key.get(s.key.as_str()).copied()).collect(),
            others: others.collect(),
            people: register.len(),
            target,
        }
    }

    /// Returns a share of the people, as somebody may know them: a record and its place.
    fn known(&self, share: f64) -> Vec<(usize, usize)> {
        let mut known: Vec<(usize, usize)> =
            (0..).zip(&self.place).filter_map(|(at, place)| Some((at, (*place)?))).collect();
        known.shuffle(&mut StdRng::seed_from_u64(SEED));
        known.truncate((share * known.len() as f64).round() as usize);
        known
    }

    /// Returns the share of records that are guessed right, without those of people who were known. A
    /// guess between several counts by how likely it is right.
    fn share(&self, guesses: &Guesses, known: &[(usize, usize)]) -> f64 {
        let known: BTreeMap<usize, usize> = known.iter().map(|(at, place)| (*place, *at)).collect();
        let right = |at: usize, person: usize| match guesses[at].contains(&person) {
            true => 1.0 / guesses[at].len() as f64,
            false => 0.0,
        };
        let by_chance = 1.0 / self.people as f64;
        let (mut records, mut found) = (0.0, 0.0);
        let own = (0..).zip(&self.place).map(|(at, place)| (*place, Some(at)));
        for (person, target) in own.chain(self.others.iter().map(|(_, p, at)| (*p, *at))) {
            let Some(person) = person.filter(|person| !known.contains_key(person)) else {
                continue;
            };
            records += 1.0;
            found += target.map_or(by_chance, |at| right(at, person));
        }
        found / f64::max(records, 1.0)
    }

    /// The same attack where people of one home share a token as well, as it would be if the
    /// coordinator had asked where everybody lives. Homes are taken out of the export.
    fn with_every_dwelling(&self, source: &StandardAgency, register: &[Seen]) -> [f64; 3] {
        let column = |name: &str| source.header.iter().position(|of| of == name);
        let [Some(key), Some(house), Some(postcode)] =
            ["local_id", "house", "postcode"].map(column)
        else {
            return [0.0; 3];
        };
        let home_of: HashMap<&str, u64> = source
            .rows
            .iter()
            .filter(|row| !row[house].is_empty() && !row[postcode].is_empty())
            .map(|row| {
                let place = [&row[house], &row[postcode]].map(|part| part.to_lowercase());
                (row[key].as_str(), refine::colour(&place))
            })
            .collect();
        let housed = |seen: &Seen| {
            let mut seen = seen.clone();
            seen.tokens.extend(home_of.get(seen.key.as_str()).map(|home| (view::HOME, *home)));
            seen
        };
        let target: Vec<Seen> = self.target.iter().map(|seen| housed(seen)).collect();
        let register: Vec<Seen> = register.iter().map(housed).collect();
        let attack = Attack::new(target.iter().collect(), register.iter().collect(), Sight::ALL);
        PARTS_KNOWN.map(|part| {
            let known = self.known(part);
            self.share(&attack.guess(&known), &known)
        })
    }

    /// With the linkage key the attacker makes the very tokens that the register's agency sent. Every
    /// other record is taken for whoever shares most of them.
    fn leaked_key(&self) -> f64 {
        let mut dictionary: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
        for (at, seen) in self.target.iter().enumerate() {
            seen.tokens.iter().for_each(|token| dictionary.entry(*token).or_default().push(at));
        }
        let (mut records, mut found) = (0, 0);
        for (seen, person, _) in &self.others {
            let Some(person) = person else { continue };
            records += 1;
            let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
            for at in seen.tokens.iter().filter_map(|token| dictionary.get(token)).flatten() {
                *votes.entry(*at).or_default() += 1;
            }
            let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
            found += usize::from(most.is_some_and(|(at, _)| self.place[at] == Some(*person)));
        }
        f64::from(found as u32) / f64::from(records.max(1))
    }
}

/// The same attack on the register where every field is a token of its own.
fn single_field(register: &StandardAgency) -> f64 {
    let fields: Vec<usize> = (0..register.header.len())
        .filter(|at| !NO_FIELDS.contains(&register.header[*at].as_str()))
        .collect();
    let mut rows: Vec<Vec<(usize, &str)>> = register
        .rows
        .iter()
        .map(|row| fields.iter().map(|at| (*at, row[*at].as_str())).collect())
        .collect();
    rows.iter_mut().for_each(|row| row.retain(|(_, value)| !value.is_empty()));
    let graph = Graph::new(rows.iter().map(Vec::as_slice));
    // Whoever has a colour of their own has it in the clear register too.
    graph.refine(vec![0; rows.len()]).last().map_or(0.0, |colours| refine::unique(colours))
}

/// Prints a result for a person.
///
/// # Errors
/// Fails when `out` does.
pub fn print(report: &AttackReport, out: &mut impl Write) -> anyhow::Result<()> {
    let (records, register) = (report.records, report.register);
    writeln!(out, "{records} records, of which the attacker has a register of {register}")?;
    let shares = [report.nobody_known, report.one_percent_known, report.ten_percent_known];
    let rows = ["nobody", "1 %", "10 %"].iter().zip(shares).zip(report.without_second_look);
    for ((who, share), without) in rows {
        let (share, without) = (100.0 * share, 100.0 * without);
        writeln!(
            out,
            "  {who:<7} known: {share:6.2} % re-identified, {without:6.2} % without second looks"
        )?;
    }
    for (who, share) in ["nobody", "1 %", "10 %"].iter().zip(report.with_every_dwelling) {
        let share = 100.0 * share;
        writeln!(out, "  {who:<7} known: {share:6.2} % if every dwelling were asked for")?;
    }
    for (part, share) in &report.by_part {
        writeln!(out, "  {:6.2} % by {part} of the second looks alone", 100.0 * share)?;
    }
    let unique = 100.0 * report.structural_uniqueness;
    writeln!(out, "  {unique:.1} % are unlike everybody else to who knows every record anyway")?;
    let Controls { single_field, leaked_key } = report.controls;
    let (single, leaked) = (100.0 * single_field, 100.0 * leaked_key);
    writeln!(out, "controls: fields apart {single:.1} %, with the key {leaked:.1} %")?;
    if single < CONTROLS_FIND || leaked < CONTROLS_FIND {
        writeln!(
            out,
            "  !  an attacker to whom it is made easy finds less than {CONTROLS_FIND} %: on these records, what is \
             found above says little"
        )?;
    }
    Ok(())
}

/// What the controls find at least, in percent, where the attack works.
const CONTROLS_FIND: f64 = 90.0;
