//! The query as it is sent.

use super::settings::{Database, Kind};

/// What a database is asked.
pub(super) struct Statement {
    /// The whole statement.
    pub(super) sql: String,
}

impl Statement {
    /// Writes a feed's query as one that begins where the last answer ended.
    ///
    /// The row that the last answer ended with is asked for again: others may have come since that
    /// stand at the same place. Whoever compares rows sees that the one is no news.
    pub(super) fn of(database: &Database, since: Option<&str>) -> Self {
        let query = database.query.trim().trim_end_matches(';');
        let Some(column) = &database.cursor else {
            let sql = match database.kind {
                // Inside brackets nothing but a `select` makes sense. Some systems do not allow all
                // of it there.
                Kind::Postgres | Kind::Mysql | Kind::Sqlite => {
                    format!("select * from (\n{query}\n) feed_rows")
                }
                Kind::Odbc => query.to_owned(),
            };
            return Self { sql };
        };
        let from = match since.filter(|value| is_plain(value)) {
            None => String::new(),
            Some(number) if is_number(number) => format!("where {column} >= {number} "),
            Some(text) => format!("where {column} >= '{text}' "),
        };
        Self { sql: format!("select * from (\n{query}\n) feed_rows {from}order by {column}") }
    }
}

/// Returns whether a name needs no quotes in any database.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= 63
}

/// Returns whether a value is a number, a time or a plain word, so that it can stand in a statement
/// as it is: no sign in it means anything there.
pub(super) fn is_plain(value: &str) -> bool {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | ':' | '+' | '-' | '_');
    (1..=64).contains(&value.len()) && value.chars().all(plain) && !value.contains("--")
}

/// Returns whether a value is written as a number is.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    (1..=18).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(kind: Kind, cursor: Option<&str>) -> Database {
        Database {
            kind,
            url_file: "f".into(),
            query: " select id, at from t -- all\n;".into(),
            cursor: cursor.map(str::to_owned),
            every_seconds: 1.0,
            timeout_seconds: 1,
        }
    }

    #[test]
    fn a_query_goes_on_where_the_last_one_ended() {
        let sql = |cursor, since| Statement::of(&database(Kind::Postgres, cursor), since).sql;
        let inner = "select * from (\nselect id, at from t -- all\n\n) feed_rows";
        assert_eq!(sql(None, None), inner);
        assert_eq!(sql(Some("at"), None), format!("{inner} order by at"));
        assert_eq!(sql(Some("at"), Some("17")), format!("{inner} where at >= 17 order by at"));
        let time = "2025-03-01 10:00:00.5+00";
        assert_eq!(
            sql(Some("at"), Some(time)),
            format!("{inner} where at >= '{time}' order by at")
        );
        let plain = Statement::of(&database(Kind::Odbc, None), None).sql;
        assert!(!plain.contains("feed_rows"), "{plain}");
    }

    #[test]
    fn nothing_that_means_something_in_a_statement_passes_for_a_value() {
        for good in ["17", "-3", "2025-03-01T10:00:00Z", "0x00000000000007D1", "Mar 1 2025 10:00AM"]
        {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "1'; drop table t", "1--", "a\"b", "a`b", "a\\b", "a;b", "1/*", "\u{2019}"]
        {
            assert!(!is_plain(bad), "{bad}");
        }
        assert!(is_name("changed_at") && !is_name("changed at") && !is_name("1") && !is_name(""));
    }

    #[test]
    fn settings_that_make_no_sense_say_what_to_write() {
        let good = database(Kind::Mysql, Some("at"));
        assert_eq!(good.problem(), None);
        let two = Database { query: "select 1; delete from t".into(), ..good.clone() };
        let spaced = Database { cursor: Some("last change".into()), ..good.clone() };
        let never = Database { every_seconds: 0.0, ..good.clone() };
        let empty = Database { query: " ;".into(), ..good };
        for (settings, key) in [
            (two, "database.query"),
            (empty, "database.query"),
            (spaced, "database.cursor"),
            (never, "database.every_seconds"),
        ] {
            assert_eq!(settings.problem().map(|(key, _)| key), Some(key));
        }
    }
}
