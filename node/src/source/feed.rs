//! Checks a mapping once, so that everything after can trust it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use causeway_proto::catalogue::SignalCode;
use glob::Pattern;

use super::{
    dates::DateFormats,
    mapping::{About, Codes, Columns, Mapping, Mode},
    record::{PersonField, Restriction, Role},
    suggest::did_you_mean,
};

/// The fields of an event, as mappings name them.
const EVENT_FIELDS: &[&str] =
    &["person", "event_ref", "type", "role", "start", "end", "confidence"];

/// The key of the record that took a person's record over, as mappings name it.
pub(super) const MERGED_INTO: &str = "merged_into";

/// A feed whose mapping makes sense: every name in it is known and nothing needed is missing.
#[derive(Clone, Debug)]
pub struct Feed {
    mapping: Mapping,
    pub(super) dates: DateFormats,
    /// Our field and their columns, in the order of the mapping.
    pub(super) columns: Vec<(String, Vec<String>)>,
    roles: HashMap<String, Role>,
    codes: HashMap<String, Meaning>,
    default_code: Option<SignalCode>,
    nulls: Vec<String>,
    marks: HashMap<String, Option<Restriction>>,
    files: Vec<Pattern>,
}

/// What a type of event means.
#[derive(Clone, Debug)]
enum Meaning {
    One(SignalCode),
    ByRole(Vec<(Role, SignalCode)>),
}

/// Why a mapping cannot be used. Names the file, the key and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("could not read mapping file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no TOML, or has a key we do not know or lacks one we need.
    #[error("{place} does not fit: {source}")]
    Toml {
        /// The file, or `the mapping`.
        place: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A key says something that makes no sense.
    #[error("{place}, `{key}`: {problem}")]
    Setting {
        /// The file, or `the mapping`.
        place: String,
        /// The key.
        key: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

/// A key and what is wrong with it.
type Problem = (String, String);

impl Feed {
    /// Reads and checks the mapping file at `path`.
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| MappingError::Read { path: path.to_owned(), source })?;
        let mut feed = Self::parse(&text, &format!("mapping file {}", path.display()))?;
        if let (Some(database), Some(folder)) = (&mut feed.mapping.database, path.parent()) {
            database.begin_paths_at(folder);
        }
        Ok(feed)
    }

    /// Parses and checks the text of a mapping.
    pub fn from_toml(text: &str) -> Result<Self, MappingError> {
        Self::parse(text, "the mapping")
    }

    fn parse(text: &str, place: &str) -> Result<Self, MappingError> {
        let mapping: Mapping = toml::from_str(text)
            .map_err(|source| MappingError::Toml { place: place.into(), source: source.into() })?;
        Self::check(mapping).map_err(|(key, problem)| MappingError::Setting {
            place: place.into(),
            key,
            problem,
        })
    }

    /// Returns the feed's name.
    pub fn id(&self) -> &str {
        &self.mapping.id
    }

    /// Returns the settings.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Returns how this feed writes dates.
    pub fn dates(&self) -> &DateFormats {
        &self.dates
    }

    /// Returns whether a file of this name belongs to the feed.
    pub fn takes_file(&self, name: &str) -> bool {
        self.files.iter().any(|pattern| pattern.matches(name))
    }

    /// Returns every code of the catalogue that this feed can give.
    pub fn codes(&self) -> Vec<SignalCode> {
        let mut codes: Vec<SignalCode> = self.default_code.into_iter().collect();
        for meaning in self.codes.values() {
            match meaning {
                Meaning::One(code) => codes.push(*code),
                Meaning::ByRole(by_role) => codes.extend(by_role.iter().map(|(_, code)| code)),
            }
        }
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// Returns their columns that the feed's file must have, each with the key that asks for it.
    pub(super) fn needed_columns(&self) -> Vec<(String, &str)> {
        let Mapping { key, filter, restricted, sensitive, shared_ref, .. } = &self.mapping;
        let mut needed = Vec::new();
        for (field, columns) in &self.columns {
            needed
                .extend(columns.iter().map(|column| (format!("columns.{field}"), column.as_str())));
        }
        needed.extend(key.iter().map(|column| ("key".to_owned(), column.as_str())));
        needed.extend(filter.keys().map(|column| ("where".to_owned(), column.as_str())));
        needed.extend(restricted.iter().map(|mark| ("restricted.column".into(), &*mark.column)));
        needed.extend(shared_ref.iter().map(|note| ("shared_ref.column".into(), &*note.column)));
        needed.extend(sensitive.iter().map(|mark| ("sensitive.column".into(), &*mark.column)));
        needed
    }

    /// Returns whether a value of theirs stands for nothing.
    pub(super) fn is_null(&self, value: &str) -> bool {
        value.is_empty() || self.nulls.iter().any(|null| null.eq_ignore_ascii_case(value))
    }

    /// Returns what their word for a role means; `None` for a contact we have no word for.
    pub(super) fn role(&self, theirs: Option<&str>) -> Option<Role> {
        match theirs {
            Some(text) => self.roles.get(&text.to_lowercase()).copied(),
            None => self.mapping.default_role,
        }
    }

    /// Returns what their type of event means of somebody in a role; `None` if it means nothing.
    pub(super) fn code(&self, theirs: Option<&str>, role: Role) -> Option<SignalCode> {
        let code = match theirs {
            None => self.default_code,
            Some(text) => match self.codes.get(&text.to_lowercase())? {
                Meaning::One(code) => Some(*code),
                Meaning::ByRole(by_role) => {
                    by_role.iter().find(|(of, _)| *of == role).map(|(_, code)| *code)
                }
            },
        };
        code.filter(|code| role.may_carry(*code))
    }

    /// Returns whether their type of event is listed at all.
    pub(super) fn knows_type(&self, theirs: Option<&str>) -> bool {
        theirs.is_none_or(|text| self.codes.contains_key(&text.to_lowercase()))
    }

    /// Returns what a mark on a person means. An unknown mark restricts.
    pub(super) fn restriction(&self, mark: &str) -> Option<Restriction> {
        if mark.is_empty() {
            return None;
        }
        self.marks.get(&mark.to_lowercase()).copied().unwrap_or(Some(Restriction::Restricted))
    }

    // === checks ===

    fn check(mapping: Mapping) -> Result<Self, Problem> {
        check_numbers(&mapping)?;
        let files = check_delivery(&mapping)?;
        let dates = DateFormats::new(&mapping.dates, mapping.pivot)
            .map_err(|invalid| ("dates".to_owned(), invalid.to_string()))?;
        let columns = check_columns(&mapping)?;
        let mut codes = HashMap::new();
        let mut default_code = None;
        match mapping.about {
            About::People => check_people(&mapping)?,
            About::Events => {
                check_events(&mapping)?;
                for (theirs, ours) in &mapping.codes {
                    insert(&mut codes, "codes", theirs, meaning(theirs, ours)?)?;
                }
                if let Some(name) = &mapping.default_code {
                    let code = signal("default_code", name)?;
                    check_default_role(&mapping, code)?;
                    default_code = Some(code);
                }
            }
        }
        let mut roles = HashMap::new();
        for (theirs, ours) in &mapping.roles {
            insert(&mut roles, "roles", theirs, *ours)?;
        }
        let mut marks = HashMap::new();
        if let Some(restricted) = &mapping.restricted {
            for open in &restricted.open {
                insert(&mut marks, "restricted.open", open, None)?;
            }
            for (mark, restriction) in &restricted.values {
                insert(&mut marks, "restricted.values", mark, Some(*restriction))?;
            }
        }
        let nulls = mapping.nulls.iter().map(|null| null.trim().to_owned()).collect();
        Ok(Self { dates, columns, roles, codes, default_code, nulls, marks, files, mapping })
    }
}

fn problem(key: impl Into<String>, problem: impl Into<String>) -> Problem {
    (key.into(), problem.into())
}

/// Adds a word of theirs, which is read in any case and so must not stand twice.
fn insert<T>(
    table: &mut HashMap<String, T>,
    key: &str,
    theirs: &str,
    ours: T,
) -> Result<(), Problem> {
    match table.insert(theirs.trim().to_lowercase(), ours) {
        None => Ok(()),
        Some(_) => Err(problem(
            format!("{key}.{theirs}"),
            "stands twice; upper and lower case are read alike, so keep one",
        )),
    }
}

fn check_numbers(mapping: &Mapping) -> Result<(), Problem> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=64).contains(&mapping.id.len()) || !mapping.id.chars().all(allowed) {
        return Err(problem("id", "use 1 to 64 lowercase letters, digits and hyphens"));
    }
    if !(1..=90).contains(&mapping.max_drop_pct) {
        return Err(problem("max_drop_pct", "use 1 to 90"));
    }
    if !(1..=50).contains(&mapping.max_quarantine_pct) {
        return Err(problem("max_quarantine_pct", "use 1 to 50; 5 suits most feeds"));
    }
    if mapping.freshness_h == 0 {
        return Err(problem("freshness_h", "use at least 1; 36 suits a nightly file"));
    }
    if mapping.pivot.is_some_and(|pivot| pivot > 99) {
        return Err(problem("pivot", "use 0 to 99"));
    }
    let one_sign = |text: &str| text.len() == 1 && text.is_ascii();
    if mapping.delimiter != "tab" && !one_sign(&mapping.delimiter) {
        return Err(problem("delimiter", "use one sign, such as `,` or `|`, or `tab`"));
    }
    if !mapping.quote.is_empty() && !one_sign(&mapping.quote) {
        return Err(problem("quote", "use one sign, or `\"\"` where the file has no quotes"));
    }
    if mapping.delimiter == mapping.quote {
        return Err(problem("quote", "is the same sign as `delimiter`"));
    }
    if mapping.key.is_empty() {
        return Err(problem("key", "name the columns that tell one row from every other"));
    }
    Ok(())
}

/// Checks how the feed's rows arrive.
fn check_delivery(mapping: &Mapping) -> Result<Vec<Pattern>, Problem> {
    let pattern = |text: &String| {
        let fix = "is no pattern for a file's name, such as `tenants-*.csv`";
        let named = !text.is_empty() && !text.contains('/');
        Pattern::new(text).ok().filter(|_| named).ok_or_else(|| problem("files", fix))
    };
    let files = mapping.files.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
    let Some(database) = &mapping.database else {
        return Ok(files);
    };
    if let Some((key, why)) = database.problem() {
        return Err(problem(key, why));
    }
    if !files.is_empty() {
        return Err(problem("files", "the rows come from `[database]`; leave one of them out"));
    }
    match (&database.cursor, mapping.mode) {
        (Some(_), Mode::Full) => {
            let why = "only changes are asked for, so what is absent is not gone: set `mode = \
                       \"delta\"`";
            Err(problem("database.cursor", why))
        }
        (None, Mode::Delta) => {
            let why = "everything is asked for every time: set `mode = \"full\"`, or name the \
                       `cursor` column";
            Err(problem("mode", why))
        }
        _ => Ok(files),
    }
}

fn check_columns(mapping: &Mapping) -> Result<Vec<(String, Vec<String>)>, Problem> {
    let known: Vec<&str> = match mapping.about {
        About::People => {
            PersonField::ALL.iter().map(|field| field.as_str()).chain([MERGED_INTO]).collect()
        }
        About::Events => EVENT_FIELDS.to_vec(),
    };
    let mut columns = Vec::new();
    for (field, theirs) in &mapping.columns {
        let key = format!("columns.{field}");
        if !known.contains(&field.as_str()) {
            let hint = did_you_mean(field, known.iter().copied());
            return Err(problem(key, format!("is none of our fields{hint}")));
        }
        let names: Vec<String> = theirs.names().iter().map(|name| name.trim().to_owned()).collect();
        if names.is_empty() || names.iter().any(String::is_empty) {
            return Err(problem(key, "name a column of theirs"));
        }
        if matches!(theirs, Columns::Joined(_)) && is_date(field) && names.len() > 1 {
            return Err(problem(key, "a date stands in one column"));
        }
        columns.push((field.clone(), names));
    }
    if mapping.dates.is_empty()
        && let Some((field, _)) = columns.iter().find(|(field, _)| is_date(field))
    {
        let why = format!("`columns.{field}` is a date: say how it is written, as in");
        return Err(problem("dates", format!("{why} `dates = [\"%d/%m/%Y\"]`")));
    }
    if !mapping.header {
        let named = columns.iter().flat_map(|(_, names)| names).chain(&mapping.key);
        for name in named.chain(mapping.filter.keys()) {
            if !name.parse::<usize>().is_ok_and(|at| at > 0) {
                let fix = "the file has no header, so columns are called `1`, `2` and so on";
                return Err(problem("header", format!("`{name}` is no column: {fix}")));
            }
        }
    }
    Ok(columns)
}

fn is_date(field: &str) -> bool {
    matches!(field, "dob" | "deceased" | "residence_from" | "residence_to" | "start" | "end")
}

fn check_people(mapping: &Mapping) -> Result<(), Problem> {
    let of_events: [(&str, bool); 8] = [
        ("person_feed", mapping.person_feed.is_some()),
        ("default_role", mapping.default_role.is_some()),
        ("default_code", mapping.default_code.is_some()),
        ("roles", !mapping.roles.is_empty()),
        ("codes", !mapping.codes.is_empty()),
        ("sensitive", mapping.sensitive.is_some()),
        ("event_ref_system", mapping.event_ref_system.is_some()),
        ("shared_ref", mapping.shared_ref.is_some()),
    ];
    if let Some((key, _)) = of_events.into_iter().find(|(_, set)| *set) {
        let fix = if key == "sensitive" { "use `[restricted]`" } else { "leave it out" };
        return Err(problem(key, format!("belongs to feeds about events; {fix}")));
    }
    if mapping.columns.is_empty() {
        return Err(problem("columns", "map at least one field"));
    }
    Ok(())
}

fn check_events(mapping: &Mapping) -> Result<(), Problem> {
    let mapped = |field: &str| mapping.columns.contains_key(field);
    if mapping.restricted.is_some() {
        let fix = "mark people in the feed about people, or events with `[sensitive]`";
        return Err(problem("restricted", format!("belongs to feeds about people; {fix}")));
    }
    if mapping.person_feed.is_none() {
        return Err(problem("person_feed", "name the feed whose keys `columns.person` holds"));
    }
    let named = |system: &str| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=64).contains(&system.len()) && system.chars().all(allowed)
    };
    let systems = [
        ("event_ref_system", mapping.event_ref_system.as_deref()),
        ("shared_ref.system", mapping.shared_ref.as_ref().map(|note| note.system.as_str())),
    ];
    for (key, system) in systems {
        if system.is_some_and(|system| !named(system)) {
            return Err(problem(key, "use 1 to 64 lowercase letters, digits and hyphens"));
        }
    }
    if mapping.event_ref_system.is_some() && !mapped("event_ref") {
        return Err(problem("event_ref_system", "says nothing without `columns.event_ref`"));
    }
    for needed in ["person", "start"] {
        if !mapped(needed) {
            return Err(problem(format!("columns.{needed}"), "is needed for events"));
        }
    }
    for (field, default, set) in [
        ("role", "default_role", mapping.default_role.is_some()),
        ("type", "default_code", mapping.default_code.is_some()),
    ] {
        match (mapped(field), set) {
            (true, true) => {
                return Err(problem(default, format!("leave it out: `columns.{field}` says it")));
            }
            (false, false) => {
                return Err(problem(
                    format!("columns.{field}"),
                    format!("map it, or set `{default}` where all rows are alike"),
                ));
            }
            _ => {}
        }
    }
    for (field, table, empty) in
        [("role", "roles", mapping.roles.is_empty()), ("type", "codes", mapping.codes.is_empty())]
    {
        if mapped(field) == empty {
            let problem_is = if empty {
                "is empty, so every row would be a contact"
            } else {
                "means nothing without the column it explains; leave it out"
            };
            return Err(problem(table, problem_is));
        }
    }
    Ok(())
}

fn check_default_role(mapping: &Mapping, code: SignalCode) -> Result<(), Problem> {
    match mapping.default_role {
        Some(role) if !role.may_carry(code) => {
            Err(problem("default_code", never_said_of(code, role)))
        }
        _ => Ok(()),
    }
}

fn meaning(theirs: &str, ours: &Codes) -> Result<Meaning, Problem> {
    match ours {
        Codes::One(name) => signal(&format!("codes.{theirs}"), name).map(Meaning::One),
        Codes::ByRole(by_role) => {
            let of_role = |(role, name): (&Role, &String)| {
                let key = format!("codes.{theirs}.{}", role_name(*role));
                let code = signal(&key, name)?;
                if role.may_carry(code) {
                    Ok((*role, code))
                } else {
                    Err(problem(key, never_said_of(code, *role)))
                }
            };
            by_role.iter().map(of_role).collect::<Result<_, _>>().map(Meaning::ByRole)
        }
    }
}

fn role_name(role: Role) -> String {
    format!("{role:?}").to_lowercase()
}

fn never_said_of(code: SignalCode, role: Role) -> String {
    let fix = if code.spec().of_suspect {
        "it is said of suspects: map their role to `suspect`"
    } else if role.is_concern() {
        "it is said of victims and subjects"
    } else {
        "they are contacts; leave it out"
    };
    format!("`{code}` is never said of a {}; {fix}", role_name(role))
}

/// Finds a code of the catalogue that an agency may send.
fn signal(key: &str, name: &str) -> Result<SignalCode, Problem> {
    let code: SignalCode = name.parse().map_err(|_| {
        let hint = did_you_mean(name, SignalCode::all().map(SignalCode::as_str));
        problem(key, format!("`{name}` is no code of the signal catalogue{hint}"))
    })?;
    if code.spec().owner.is_none() {
        let why = "is derived by the node from dates of birth; leave it out";
        return Err(problem(key, format!("`{code}` {why}")));
    }
    Ok(code)
}

#[cfg(test)]
mod tests;
