//! Writes what agencies know as their systems would export it.
//!
//! How a system writes is said once, by the mapping that reads it: this goes through the mapping
//! backwards. So the eighteen files of `tests/data/feeds` are examples for an agency's IT, too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use causeway_node::source::{
    Feed, Mapping, PersonField, Restriction,
    mapping::{Codes, Encoding},
};
use causeway_proto::{
    catalogue::{AgencyKind, ReleaseDefault, SignalCode},
    day::Day,
    ids::AgencyId,
};

use super::{Happening, People, Record};
use crate::town::{Agency, FeedFile};

/// Declares the mappings of the agencies.
macro_rules! systems {
    ($($kind:ident $name:literal,)+) => {
        /// Whose systems these are, with the mappings of their people and of their events.
        const SYSTEMS: &[(AgencyKind, &str, &str)] = &[$((
            AgencyKind::$kind,
            include_str!(concat!("../../data/feeds/", $name, "-people.toml")),
            include_str!(concat!("../../data/feeds/", $name, "-events.toml")),
        ),)+];
    };
}

systems! {
    Police "police",
    Housing "housing",
    AdultSocialCare "adult_social_care",
    ChildrensSocialCare "childrens_social_care",
    Schools "schools",
    Nhs "nhs",
    Fire "fire",
    Dwp "dwp",
    Revenues "revenues",
}

/// Writes every agency's exports and mappings as at a day; what happened later is not in them.
///
/// Returns the agencies, ready to make a [`Town`](crate::town::Town) of. Every third one dials out
/// instead of being dialled.
pub fn write(people: &People, folder: &Path, as_at: Day) -> anyhow::Result<Vec<Agency>> {
    let mut agencies = Vec::new();
    for (at, (kind, people_toml, events_toml)) in SYSTEMS.iter().enumerate() {
        let home = folder.join(kind.as_str());
        fs::create_dir_all(&home)?;
        let mut feeds = Vec::new();
        for text in [people_toml, events_toml] {
            let feed = Feed::from_toml(text)?;
            let rows = match &feed.mapping().person_feed {
                None => person_rows(people, *kind, feed.mapping())?,
                Some(_) => event_rows(people, *kind, feed.mapping(), as_at)?,
            };
            feeds.push(save(&home, &feed, text, &rows)?);
        }
        let id = agency_id(*kind)?;
        let policy = policy(&id, *kind);
        agencies.push(Agency { id, kind: *kind, feeds, policy, dials_out: at % 3 == 2 });
    }
    Ok(agencies)
}

/// Rewrites the exports that a day changed: those of events that began or ended on it. Returns whose
/// and which. People's exports stand as they were.
pub fn write_day(
    people: &People,
    folder: &Path,
    day: Day,
) -> anyhow::Result<Vec<(AgencyId, FeedFile)>> {
    let mut changed = Vec::new();
    for (kind, _, events_toml) in SYSTEMS {
        let is_new = |happening: &Happening| {
            let days = [Some(happening.start), happening.end];
            happening.agency == *kind && days.contains(&Some(day))
        };
        if people.happenings.iter().any(is_new) {
            let feed = Feed::from_toml(events_toml)?;
            let rows = event_rows(people, *kind, feed.mapping(), day)?;
            let file = save(&folder.join(kind.as_str()), &feed, events_toml, &rows)?;
            changed.push((agency_id(*kind)?, file));
        }
    }
    Ok(changed)
}

/// Returns the name of a town's agency of a kind.
pub fn agency_id(kind: AgencyKind) -> anyhow::Result<AgencyId> {
    Ok(kind.as_str().replace('_', "-").parse()?)
}

fn save(home: &Path, feed: &Feed, text: &str, rows: &Rows) -> anyhow::Result<FeedFile> {
    let mapping: PathBuf = home.join(format!("{}.toml", feed.id()));
    let file = home.join(format!("{}.csv", feed.id()));
    fs::write(&mapping, text)?;
    let settings = feed.mapping();
    let delimiter = match settings.delimiter.as_str() {
        "tab" => b'\t',
        sign => sign.bytes().next().context("a feed without a delimiter")?,
    };
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    for row in std::iter::once(&rows.header).chain(&rows.rows) {
        writer.write_record(row)?;
    }
    let text = String::from_utf8(writer.into_inner()?)?;
    let bytes = match settings.encoding {
        Encoding::Utf8 => text.into_bytes(),
        // As spreadsheets write it.
        Encoding::Detect => ["\u{feff}", &text].concat().into_bytes(),
        Encoding::Windows1252 => text.chars().map(windows_1252).collect(),
    };
    fs::write(&file, bytes)?;
    Ok(FeedFile { id: feed.id().to_owned(), mapping, file })
}

/// Such a system has no letters beyond Western Europe's.
fn windows_1252(letter: char) -> u8 {
    u8::try_from(u32::from(letter)).unwrap_or(b'?')
}

struct Rows {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn person_rows(people: &People, kind: AgencyKind, mapping: &Mapping) -> anyhow::Result<Rows> {
    let mut header = mapping.key.clone();
    let columns = columns(mapping);
    header.extend(columns.iter().map(|(_, theirs)| theirs.clone()));
    header.extend(mapping.restricted.iter().map(|mark| mark.column.clone()));
    let mut rows = Vec::new();
    for record in people.records.iter().filter(|record| record.agency == kind) {
        let mut row = vec![record.local_id.clone()];
        for (ours, _) in &columns {
            row.push(filled(mapping, person_value(record, ours, mapping)?));
        }
        row.extend(restriction(mapping, record.restriction)?);
        rows.push(row);
    }
    Ok(Rows { header, rows })
}

/// Returns our fields and their columns, as the mapping has them.
fn columns(mapping: &Mapping) -> Vec<(String, String)> {
    let one = |(ours, theirs): (&String, &_)| (ours.clone(), names(theirs));
    mapping.columns.iter().map(one).collect()
}

fn names(columns: &causeway_node::source::mapping::Columns) -> String {
    columns.names().join(" ")
}

fn person_value(record: &Record, ours: &str, mapping: &Mapping) -> anyhow::Result<String> {
    let mut person = record.person.clone();
    let field = |field: &&PersonField| field.as_str() == ours;
    let field = PersonField::ALL.iter().find(field).context("a field that nobody has")?;
    Ok(match field {
        PersonField::FullName => {
            let parts = [&person.title, &person.forename, &person.middle, &person.surname];
            let parts: Vec<&str> =
                parts.iter().map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
            parts.join(" ")
        }
        PersonField::Dob
        | PersonField::Deceased
        | PersonField::ResidenceFrom
        | PersonField::ResidenceTo => date(person.field_mut(*field), mapping),
        _ => person.field_mut(*field).clone(),
    })
}

fn restriction(mapping: &Mapping, of: Option<Restriction>) -> anyhow::Result<Option<String>> {
    let Some(marks) = &mapping.restricted else {
        ensure!(of.is_none(), "{} has no column for closed records", mapping.id);
        return Ok(None);
    };
    let mark = match of {
        None => marks.open.first(),
        Some(of) => marks.values.iter().find(|(_, value)| **value == of).map(|(mark, _)| mark),
    };
    mark.cloned().map(Some).with_context(|| format!("{} has no mark for {of:?}", mapping.id))
}

fn event_rows(
    people: &People,
    kind: AgencyKind,
    mapping: &Mapping,
    as_at: Day,
) -> anyhow::Result<Rows> {
    let columns = columns(mapping);
    let header = columns.iter().map(|(_, theirs)| theirs.clone()).collect();
    let mut rows = Vec::new();
    let told = |happening: &&Happening| happening.agency == kind && happening.start <= as_at;
    for happening in people.happenings.iter().filter(told) {
        let mut row = Vec::new();
        for (ours, _) in &columns {
            row.push(filled(mapping, event_value(happening, ours, mapping, as_at)?));
        }
        rows.push(row);
    }
    Ok(Rows { header, rows })
}

fn event_value(
    happening: &Happening,
    ours: &str,
    mapping: &Mapping,
    as_at: Day,
) -> anyhow::Result<String> {
    Ok(match ours {
        "person" => happening.local_id.clone(),
        "event_ref" => happening.event_ref.clone(),
        "type" => words_for(mapping, happening.code)?,
        "role" => {
            let mut words = mapping.roles.iter().filter(|(_, role)| **role == happening.role);
            let words = words.next().map(|(words, _)| words);
            words.cloned().with_context(|| {
                format!(
                    "{} has no word for a {:?} of {}",
                    mapping.id, happening.role, happening.code
                )
            })?
        }
        "start" => date(&happening.start.to_string(), mapping),
        "end" => match happening.end.filter(|end| *end <= as_at) {
            Some(end) => date(&end.to_string(), mapping),
            None => String::new(),
        },
        _ => anyhow::bail!("{} wants `{ours}` of an event", mapping.id),
    })
}

fn words_for(mapping: &Mapping, code: SignalCode) -> anyhow::Result<String> {
    let means = |codes: &Codes| match codes {
        Codes::One(one) => one == code.as_str(),
        // A witness is written down under the same words.
        Codes::ByRole(by_role) => by_role.values().any(|one| one == code.as_str()),
    };
    let words = mapping.codes.iter().find(|(_, codes)| means(codes)).map(|(words, _)| words);
    words.cloned().with_context(|| format!("{} has no word for {code}", mapping.id))
}

fn filled(mapping: &Mapping, value: String) -> String {
    match mapping.nulls.first() {
        Some(null) if value.is_empty() => null.clone(),
        _ => value,
    }
}

/// Writes a day as the system does; what is no day stands as it is.
fn date(text: &str, mapping: &Mapping) -> String {
    let (Ok(day), Some(format)) = (text.parse::<Day>(), mapping.dates.first()) else {
        return text.to_owned();
    };
    let iso = day.to_string();
    let in_words = day.in_words();
    let month = in_words.split(' ').nth(1).and_then(|name| name.get(..3)).unwrap_or_default();
    format
        .replace("%Y", &iso[..4])
        .replace("%y", &iso[2..4])
        .replace("%m", &iso[5..7])
        .replace("%d", &iso[8..])
        .replace("%b", month)
}

/// A policy as an agency might sign it: its own codes for safeguarding, save for those that are
/// off until somebody answers for them.
fn policy(id: &AgencyId, kind: AgencyKind) -> String {
    let codes = |wanted: &dyn Fn(SignalCode) -> bool| {
        let names = SignalCode::all()
            .filter(|code| wanted(*code))
            .map(|code| format!("{:?}", code.as_str()));
        names.collect::<Vec<_>>().join(", ")
    };
    let own = |code: SignalCode| {
        code.spec().owner == Some(kind) && code.spec().release != ReleaseDefault::Off
    };
    let regime = if kind == AgencyKind::Police { "part3" } else { "part2" };
    let mut text = format!(
        "[node]\nid = \"{id}\"\ncontroller = \"Head of {}\"\nregime = \"{regime}\"\n\n",
        kind.in_words()
    );
    for (purpose, gateway) in [
        ("adult_safeguarding", "care_act_s45"),
        ("child_safeguarding", "children_act_s10"),
        ("asb_hate", "crime_and_disorder_act_s115"),
    ] {
        text += &format!(
            "[purpose.{purpose}]\nlawful_basis = \"6(1)(e)\"\ngateway = \"{gateway}\"\n\n"
        );
    }
    text += "[release]\ndefault = \"deny\"\n";
    let groups = [
        (codes(&|code| own(code) && !code.spec().of_suspect), "named"),
        (codes(&|code| own(code) && code.spec().of_suspect), "counted"),
        (codes(&|code| code.spec().owner.is_none()), "named"),
    ];
    for (names, disclosure) in groups.iter().filter(|(names, _)| !names.is_empty()) {
        text += &format!(
            "\n[[release.rule]]\ncode = [{names}]\n\
             purpose = [\"adult_safeguarding\", \"child_safeguarding\", \"asb_hate\"]\n\
             detail = \"code+day\"\ndisclosure = \"{disclosure}\"\n"
        );
    }
    text
}
