//! Checks a mapping once, so that everything after can trust it.

mod check;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use causeway_proto::{catalogue::SignalCode, kind::RECIPE};
use glob::Pattern;
use ring::digest;

use super::{
    dates::DateFormats,
    mapping::{About, Mapping},
    record::{Restriction, Role},
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
    fingerprint: [u8; 32],
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
    #[error("{place} does not fit")]
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
        Self::check(mapping, fingerprint_of(text)).map_err(|(key, problem)| MappingError::Setting {
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

    /// Returns a hash of all that decides how a file of this feed is read: the mapping's text and the
    /// recipe. Equal while the same file would be read in the same way.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
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

    fn check(mapping: Mapping, fingerprint: [u8; 32]) -> Result<Self, Problem> {
        check::numbers(&mapping)?;
        let files = check::delivery(&mapping)?;
        let dates = DateFormats::new(&mapping.dates, mapping.pivot)
            .map_err(|invalid| ("dates".to_owned(), invalid.to_string()))?;
        let columns = check::columns(&mapping)?;
        let mut codes = HashMap::new();
        let mut default_code = None;
        match mapping.about {
            About::People => check::people(&mapping)?,
            About::Events => {
                check::events(&mapping)?;
                for (theirs, ours) in &mapping.codes {
                    check::insert(&mut codes, "codes", theirs, check::meaning(theirs, ours)?)?;
                }
                if let Some(name) = &mapping.default_code {
                    let code = check::signal("default_code", name)?;
                    check::default_role(&mapping, code)?;
                    default_code = Some(code);
                }
            }
        }
        let mut roles = HashMap::new();
        for (theirs, ours) in &mapping.roles {
            check::insert(&mut roles, "roles", theirs, *ours)?;
        }
        let mut marks = HashMap::new();
        if let Some(restricted) = &mapping.restricted {
            for open in &restricted.open {
                check::insert(&mut marks, "restricted.open", open, None)?;
            }
            for (mark, restriction) in &restricted.values {
                check::insert(&mut marks, "restricted.values", mark, Some(*restriction))?;
            }
        }
        let nulls = mapping.nulls.iter().map(|null| null.trim().to_owned()).collect();
        Ok(Self {
            dates,
            columns,
            roles,
            codes,
            default_code,
            nulls,
            marks,
            files,
            fingerprint,
            mapping,
        })
    }
}

/// Rises with whatever reads something else from the same row: files are then read anew.
const READING: u16 = 2;

/// Hashes the recipe number, how rows are read, and a mapping's text as it was read.
fn fingerprint_of(text: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&RECIPE.to_be_bytes());
    context.update(&READING.to_be_bytes());
    context.update(text.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests;
