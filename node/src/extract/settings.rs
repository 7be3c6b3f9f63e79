//! What a mapping says about the database that its rows come from.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{ExtractError, statement};

/// `[database]` in a mapping: a query instead of a file.
///
/// ```
/// # use causeway_node::source::Feed;
/// let feed = Feed::from_toml(r##"
///     id = "tenancy-actions"
///     about = "events"
///     person_feed = "tenants"
///     mode = "delta"
///     dates = ["%Y-%m-%d"]
///     key = ["id"]
///     default_role = "subject"
///
///     [database]
///     kind = "postgres"
///     url_file = "tenancy-database.url"
///     query = """
///         select a.id, a.tenant_ref, a.case_ref, a.action, a.opened, a.changed_at
///         from tenancy_action a
///     """
///     cursor = "changed_at"
///     every_seconds = 60
///     timeout_seconds = 300
///
///     [columns]
///     person = "tenant_ref"
///     event_ref = "case_ref"
///     type = "action"
///     start = "opened"
///
///     [codes]
///     "NSP" = "HOU_NSP"
/// "##)?;
/// # Ok::<_, causeway_node::source::MappingError>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Which kind of database it is.
    pub kind: Kind,
    /// A file of mode 0600 that holds one line: the address with user and password. A path that is
    /// not absolute begins at the mapping's folder.
    pub url_file: PathBuf,
    /// What to ask: one `select`. A view that IT makes for it keeps the mapping short. The columns
    /// of its result are what the mapping calls columns.
    pub query: String,
    /// A column of the result that only ever grows, such as a number or the time of the last change.
    /// Only rows from the last one seen on are asked for then, so the feed's mode is `delta`.
    pub cursor: Option<String>,
    /// How often `serve` asks, in seconds.
    #[serde(default = "default_every_seconds")]
    pub every_seconds: f64,
    /// How long an answer may take, all of it, in seconds.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u64,
}

/// Which kind of database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// `MySQL` or `MariaDB`.
    Mysql,
    /// A SQLite file.
    Sqlite,
    /// SQL Server, Oracle and the rest, through a driver of the system. Needs a node that was built
    /// with `--features odbc`.
    Odbc,
}

impl Kind {
    /// Returns what people call it.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL or MariaDB",
            Self::Sqlite => "SQLite",
            Self::Odbc => "ODBC",
        }
    }

    /// Returns how an address of this kind begins.
    const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres://", "postgresql://"],
            Self::Mysql => &["mysql://", "mariadb://"],
            Self::Sqlite => &["sqlite:"],
            Self::Odbc => &[""],
        }
    }

    /// Returns an address to follow.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Postgres => "postgres://reader:PASSWORD@host:5432/name?sslmode=verify-full",
            Self::Mysql => "mysql://reader:PASSWORD@host:3306/name?ssl-mode=VERIFY_IDENTITY",
            Self::Sqlite => "sqlite:///srv/exports/tenancies.db",
            Self::Odbc => {
                "Driver={ODBC Driver 18 for SQL Server};Server=host;UID=reader;PWD=PASSWORD"
            }
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.in_words())
    }
}

impl Database {
    /// Says what in the settings makes no sense: the key, and what to write instead.
    pub(crate) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let query = self.query.trim().trim_end_matches(';');
        if query.trim().is_empty() {
            return Some(("database.query", "write the `select` whose columns are mapped"));
        }
        if query.contains(';') {
            let why = "holds a `;`: it is one statement, so make a view of what needs more";
            return Some(("database.query", why));
        }
        if self.cursor.as_deref().is_some_and(|name| !statement::is_name(name)) {
            let why = "is no plain name of a column: rename it in the query with `as`, to letters, \
                       digits and underscores";
            return Some(("database.cursor", why));
        }
        if !(0.01..=1e9).contains(&self.every_seconds) {
            return Some(("database.every_seconds", "use at least 0.01; 60 suits most"));
        }
        if self.timeout_seconds == 0 {
            return Some(("database.timeout_seconds", "use at least 1; 300 suits most"));
        }
        None
    }

    /// Reads the address, if nobody else can.
    pub(super) fn address(&self) -> Result<Zeroizing<String>, ExtractError> {
        let file = || self.url_file.clone();
        let read = |source: io::Error| ExtractError::File { file: file(), source };
        if fs::metadata(&self.url_file).map_err(read)?.mode() & 0o077 != 0 {
            return Err(ExtractError::Permissions { file: file() });
        }
        let text = Zeroizing::new(fs::read_to_string(&self.url_file).map_err(read)?);
        let address = text.trim();
        if address.is_empty() || !self.kind.schemes().iter().any(|s| address.starts_with(s)) {
            return Err(ExtractError::Address { file: file(), kind: self.kind });
        }
        Ok(Zeroizing::new(address.to_owned()))
    }

    pub(crate) fn begin_paths_at(&mut self, folder: &Path) {
        self.url_file = folder.join(&self.url_file);
    }
}

const fn default_every_seconds() -> f64 {
    60.0
}

const fn default_timeout_seconds() -> u64 {
    300
}
