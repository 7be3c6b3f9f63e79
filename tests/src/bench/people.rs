//! People by the million: the same ones for the same numbers, without keeping any of them.
//!
//! A person is made from the town's seed and the person's number alone, an agency's record of them
//! from those and the agency's number. So an export of a million rows is written row by row.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The columns that are written, in the standard order.
pub(super) const HEADER: [&str; 12] = [
    "local_id", "truth_id", "forename", "middle", "surname", "dob", "sex", "house", "street",
    "postcode", "nhs", "phone",
];

/// People per household, on average as in the census of 2021 (2.4), rounded up.
const PER_HOUSEHOLD: u64 = 3;
/// People in the town for each record at an agency: two agencies know about 40 % of each other's.
const TOWN: f64 = 2.5;

/// Of so many rows, one moves, one leaves and one comes: 1 % together.
const CHANGES: u64 = 300;
const MOVES: u64 = 7;
const LEAVES: u64 = 107;
const COMES: u64 = 207;

/// Which export of an agency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edition {
    /// The first.
    First,
    /// One in which 1 % of the people moved, left or came.
    Changed,
    /// The next one, in which one more came.
    ChangedAgain,
}

/// Returns what every agency calls a planted person.
pub(super) fn planted_id(number: u64) -> String {
    format!("planted-{number}")
}

/// A town's names, to draw from by how common they are.
struct Names {
    forenames: Weighted,
    surnames: Weighted,
}

struct Weighted {
    names: Vec<&'static str>,
    sums: Vec<u32>,
}

impl Weighted {
    fn of(part: &str) -> Self {
        let table = include_str!("../../../node/data/name_frequencies.csv");
        let (mut names, mut sums, mut sum) = (Vec::new(), Vec::new(), 0);
        for line in table.lines().filter(|line| line.starts_with(part)) {
            let mut fields = line.splitn(3, ',').skip(1);
            let (Some(name), Some(Ok(count))) =
                (fields.next(), fields.next().map(str::parse::<u32>))
            else {
                continue;
            };
            sum += count;
            names.push(name);
            sums.push(sum);
        }
        Self { names, sums }
    }

    fn draw(&self, random: &mut StdRng) -> &'static str {
        let all = self.sums.last().copied().unwrap_or(1);
        let at = random.random_range(0..all);
        self.names[self.sums.partition_point(|sum| *sum <= at)]
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { forenames: Weighted::of("f,"), surnames: Weighted::of("s,") }
    }
}

/// One town.
pub(super) struct Crowd {
    /// Which one.
    seed: u64,
    /// Records at each agency.
    per_agency: u64,
    names: Names,
}

/// One person, as they are.
struct Person {
    forename: &'static str,
    middle: &'static str,
    surname: &'static str,
    born: [u32; 3],
    sex: &'static str,
    nhs: String,
    phone: String,
}

/// One home.
struct Home {
    house: String,
    street: String,
    postcode: String,
}

/// Writes a folder of a town's people: one CSV file per agency in the standard columns.
///
/// # Errors
/// Fails when a file cannot be written.
pub(super) fn write_folder(
    seed: u64,
    agencies: usize,
    per_agency: u64,
    folder: &Path,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let crowd = Crowd::new(seed, per_agency);
    for agency in 0..agencies as u64 {
        let file = folder.join(format!("agency-{}.csv", agency + 1));
        crowd.write(agency, 0, Edition::First, &file)?;
    }
    Ok(())
}

impl Crowd {
    /// Describes a town whose agencies hold so many records each.
    pub(super) fn new(seed: u64, per_agency: u64) -> Self {
        Self { seed, per_agency, names: Names::default() }
    }

    /// Returns how many people each agency knows.
    pub(super) fn per_agency(&self) -> u64 {
        self.per_agency
    }

    /// Returns what an agency calls the person of one of its rows.
    pub(super) fn local_id(&self, agency: u64, row: u64) -> String {
        format!("{agency}-{}", self.of_row(agency, row))
    }

    /// Writes one agency's export, with the truth in a column of its own, and after the crowd some
    /// planted people.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub(super) fn write(
        &self,
        agency: u64,
        planted: u64,
        edition: Edition,
        file: &Path,
    ) -> anyhow::Result<()> {
        let mut out = csv::Writer::from_writer(BufWriter::new(File::create(file)?));
        out.write_record(HEADER)?;
        let changes = edition != Edition::First;
        for row in 0..self.per_agency {
            let change = Some(row % CHANGES).filter(|_| changes);
            if change != Some(LEAVES) {
                let person = self.of_row(agency, row);
                out.write_record(self.record(agency, person, change == Some(MOVES)))?;
            }
            if change == Some(COMES) {
                let person = self.of_row(agency, self.per_agency + row / CHANGES);
                out.write_record(self.record(agency, person, false))?;
            }
        }
        if edition == Edition::ChangedAgain {
            let person = self.of_row(agency, self.per_agency + self.per_agency / CHANGES + 1);
            out.write_record(self.record(agency, person, false))?;
        }
        for number in 0..planted {
            out.write_record(self.planted(number))?;
        }
        Ok(out.flush()?)
    }

    /// A stride prime to the size of the town visits nobody twice.
    fn of_row(&self, agency: u64, row: u64) -> u64 {
        let town = (self.per_agency as f64 * TOWN) as u64;
        (row * stride(town, agency) + agency * 7919) % town
    }

    /// Somebody whom every agency writes down alike, with a home of their own.
    fn planted(&self, number: u64) -> [String; 12] {
        let person = (self.per_agency as f64 * TOWN) as u64 + number;
        let (who, home) = (self.person(person), self.home((1 << 41) + number));
        let [_, month, day] = who.born;
        [
            planted_id(number),
            planted_id(number),
            who.forename.to_owned(),
            who.middle.to_owned(),
            who.surname.to_owned(),
            format!("{}-{month:02}-{day:02}", 1950 + number % 40),
            who.sex.to_owned(),
            home.house,
            home.street,
            home.postcode,
            who.nhs,
            who.phone,
        ]
    }

    fn random(&self, what: u64, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ what.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number << 8)
    }

    fn home(&self, home: u64) -> Home {
        const ENDS: [&str; 6] = ["Street", "Road", "Lane", "Avenue", "Close", "Drive"];
        let mut random = self.random(1, home);
        let (a, b) = (letter(&mut random), letter(&mut random));
        let (c, d) = (letter(&mut random), letter(&mut random));
        Home {
            house: random.random_range(1..200).to_string(),
            street: format!(
                "{} {}",
                self.names.surnames.draw(&mut random),
                ENDS[random.random_range(0..ENDS.len())]
            ),
            postcode: format!(
                "{a}{b}{} {}{c}{d}",
                random.random_range(1..30),
                random.random_range(1..10)
            ),
        }
    }

    fn person(&self, person: u64) -> Person {
        let mut family = self.random(2, person / PER_HOUSEHOLD);
        let surname = self.names.surnames.draw(&mut family);
        let mut random = self.random(3, person);
        Person {
            forename: self.names.forenames.draw(&mut random),
            middle: self.names.forenames.draw(&mut random),
            // One in six at a home has another name.
            surname: match random.random_range(0..6) {
                0 => self.names.surnames.draw(&mut random),
                _ => surname,
            },
            born: [
                random.random_range(1935..2024),
                random.random_range(1..13),
                random.random_range(1..29),
            ],
            sex: ["F", "M"][random.random_range(0..2)],
            nhs: nhs_number(person),
            phone: format!("07{:09}", random.random_range(100_000_000..1_000_000_000u64)),
        }
    }

    /// What one agency wrote down of one person: with its mistakes, and what it never asked.
    fn record(&self, agency: u64, person: u64, moved: bool) -> [String; 12] {
        let who = self.person(person);
        let mut random = self.random(10 + agency, person);
        let mut one_in = |n: u32| random.random_range(0..n) == 0;
        let elsewhere = one_in(10) != moved;
        let (typo_a, typo_b, no_birth, day) = (one_in(33), one_in(25), one_in(50), one_in(60));
        let (no_middle, nhs, phone) = (!one_in(3), one_in(2), one_in(3));
        let home = self.home(person / PER_HOUSEHOLD + if elsewhere { 1 << 40 } else { 0 });
        let [year, month, mut number] = who.born;
        if day {
            number = number % 28 + 1;
        }
        [
            format!("{agency}-{person}"),
            format!("p{person}"),
            if typo_a { slip(who.forename, &mut random) } else { who.forename.to_owned() },
            if no_middle { String::new() } else { who.middle.to_owned() },
            if typo_b { slip(who.surname, &mut random) } else { who.surname.to_owned() },
            if no_birth { String::new() } else { format!("{year}-{month:02}-{number:02}") },
            who.sex.to_owned(),
            home.house,
            home.street,
            home.postcode,
            if nhs { who.nhs } else { String::new() },
            if phone { who.phone } else { String::new() },
        ]
    }
}

/// A stride for walking a town: different for every agency and prime to its size.
fn stride(town: u64, agency: u64) -> u64 {
    let prime_to = |n: &u64| gcd(*n, town) == 1;
    (1_000_003 + 10_007 * agency..).find(prime_to).unwrap_or(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn letter(random: &mut StdRng) -> char {
    char::from(random.random_range(b'A'..=b'Z'))
}

/// Two neighbouring letters exchanged.
fn slip(name: &str, random: &mut StdRng) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    if letters.len() > 1 {
        let at = random.random_range(0..letters.len() - 1);
        letters.swap(at, at + 1);
    }
    letters.into_iter().collect()
}

/// A number of a range that is not issued, with its check digit (modulus 11).
fn nhs_number(person: u64) -> String {
    // Of two neighbours at most one has no check digit: their sums differ by 2.
    let body = 900_000_000 + 2 * (person % 45_000_000);
    let check = |body: u64| {
        let digits = (0..9).map(|place| body / 10u64.pow(place) % 10);
        let sum: u64 = digits.zip(2..).map(|(digit, weight)| digit * weight).sum();
        (11 - sum % 11) % 11
    };
    let body = if check(body) == 10 { body + 1 } else { body };
    format!("{body}{}", check(body))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use causeway_node::normalise::identifier::NhsNumber;

    use super::*;

    #[test]
    fn an_agency_holds_nobody_twice_and_knows_part_of_the_others() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let crowd = Crowd::new(1, 2000);
        let mut known: Vec<BTreeSet<String>> = Vec::new();
        for agency in 0..2 {
            let file = folder.path().join(format!("{agency}.csv"));
            crowd.write(agency, 0, Edition::First, &file)?;
            let mut reader = csv::Reader::from_path(&file)?;
            known.push(
                reader.records().map(|row| Ok(row?[1].to_owned())).collect::<csv::Result<_>>()?,
            );
            assert_eq!(known[agency as usize].len(), 2000);
        }
        let both = known[0].intersection(&known[1]).count();
        assert!((600..1000).contains(&both), "{both}");
        Ok(())
    }

    #[test]
    fn one_percent_moves_leaves_or_comes() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let crowd = Crowd::new(1, 3000);
        let mut editions =
            [Edition::First, Edition::Changed].map(|edition| (edition, BTreeMap::new()));
        for (edition, rows) in &mut editions {
            let file = folder.path().join(format!("{edition:?}.csv"));
            crowd.write(0, 0, *edition, &file)?;
            for row in csv::Reader::from_path(&file)?.records() {
                let row = row?;
                rows.insert(row[0].to_owned(), row);
            }
        }
        let [(_, before), (_, after)] = &editions;
        let left = before.keys().filter(|key| !after.contains_key(*key)).count();
        let came = after.keys().filter(|key| !before.contains_key(*key)).count();
        let moved =
            after.iter().filter(|(key, row)| before.get(*key).is_some_and(|was| was != *row));
        assert_eq!((left, came, moved.count()), (10, 10, 10));
        Ok(())
    }

    #[test]
    fn numbers_have_their_check_digit_and_are_nobody_elses() {
        let numbers: BTreeSet<String> = (0..5000).map(nhs_number).collect();
        assert_eq!(numbers.len(), 5000);
        assert!(numbers.iter().all(|number| NhsNumber::read(number, false).is_ok()));
    }
}
