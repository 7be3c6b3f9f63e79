//! Decides whether a file that could be read may replace what is there.

use super::{
    feed::Feed,
    mapping::Mode,
    report::{Rule, SourceReport},
};

/// A small file may always have this many rows set aside: one bad row of ten is no alarm.
pub(crate) const ALWAYS_ALLOWED: u64 = 5;

/// As many may be missing from a small file, whatever share of it they are.
const ALWAYS_MAY_LEAVE: u64 = 2;

/// What the last good export of a feed was like.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// Rows that it had.
    pub rows: u64,
    /// Rows of it that were taken in.
    pub taken: u64,
}

/// Why a file that could be read is refused as a whole.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileRefused {
    /// Too many rows are missing.
    #[error(
        "the file has {rows} rows where about {expected} were expected, more than {max_drop_pct} % \
         fewer: it may be cut off. If that many people really left, raise `max_drop_pct` once"
    )]
    TooFewRows {
        /// Rows in the file.
        rows: u64,
        /// Rows last time, or `expected_rows`.
        expected: u64,
        /// The setting.
        max_drop_pct: u8,
    },
    /// Too many rows are left out.
    #[error(
        "of the file's {rows} rows {taken} are for this node where {expected} were last time, more than \
         {max_drop_pct} % fewer: a status, a role or a type may be written otherwise than the mapping \
         says. If that many are really left out now, raise `max_drop_pct` once"
    )]
    TooFewTaken {
        /// Rows in the file.
        rows: u64,
        /// Rows that are taken in or set aside.
        taken: u64,
        /// Rows taken in last time.
        expected: u64,
        /// The setting.
        max_drop_pct: u8,
    },
    /// Too many rows are said to be merged into others.
    #[error(
        "{merged} of {known} records are said to be merged into others, more than {max_drop_pct} %: \
         `columns.merged_into` may name the wrong column. If it is meant, raise `max_drop_pct` once"
    )]
    TooManyMerged {
        /// Records that are known and would go.
        merged: u64,
        /// Records that are known.
        known: u64,
        /// The setting.
        max_drop_pct: u8,
    },
    /// Too many dates cannot be read.
    #[error(
        "{unreadable} of {dated} dates of birth cannot be read: they are not written as `dates` in the \
         mapping says"
    )]
    DatesUnreadable {
        /// Dates of birth that fit none of the formats.
        unreadable: u64,
        /// Rows with something in that column.
        dated: u64,
    },
    /// Too many dates are no days of the calendar.
    #[error(
        "{impossible} of {dated} dates of birth are no days of the calendar as `dates` in the mapping reads \
         them: are day and month the other way round?"
    )]
    DatesImpossible {
        /// Dates of birth that fit a format and are no day.
        impossible: u64,
        /// Rows with something in that column.
        dated: u64,
    },
    /// Too many rows are bad.
    #[error(
        "{quarantined} of {rows} rows break a rule, more than {max_quarantine_pct} %; most often \
         {}", most.in_words()
    )]
    TooManyBad {
        /// Rows set aside.
        quarantined: u64,
        /// Rows in the file.
        rows: u64,
        /// The setting.
        max_quarantine_pct: u8,
        /// The rule that most of them break.
        most: Rule,
    },
}

impl SourceReport {
    /// Decides whether the file may replace the last one.
    ///
    /// A full file may be a little smaller and a little dirty, never half missing or mostly bad.
    pub fn judge(&self, feed: &Feed, last: Option<Before>) -> Result<(), FileRefused> {
        let mapping = feed.mapping();
        let max_drop_pct = mapping.max_drop_pct;
        if mapping.mode == Mode::Full {
            let rows = self.rows;
            let expected = last.map(|last| last.rows).or(mapping.expected_rows);
            if let Some(expected) = expected.filter(|expected| drops(feed, *expected, rows)) {
                return Err(FileRefused::TooFewRows { rows, expected, max_drop_pct });
            }
            let taken = self.taken + self.quarantined;
            let expected = last.map(|last| last.taken);
            if let Some(expected) = expected.filter(|expected| drops(feed, *expected, taken)) {
                return Err(FileRefused::TooFewTaken { rows, taken, expected, max_drop_pct });
            }
        }
        let max_quarantine_pct = mapping.max_quarantine_pct;
        let share = self.rows.saturating_mul(u64::from(max_quarantine_pct)) / 100;
        let all_bad = self.quarantined > 0 && self.quarantined == self.rows - self.filtered;
        let most = self.by_rule.iter().max_by_key(|(_, count)| **count).map(|(rule, _)| *rule);
        match most {
            Some(most) if all_bad || self.quarantined > share.max(ALWAYS_ALLOWED) => {
                Err(FileRefused::TooManyBad {
                    quarantined: self.quarantined,
                    rows: self.rows,
                    max_quarantine_pct,
                    most,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether so few of what there was before are too few: more than a feed's `max_drop_pct` are
/// missing, and more than a few.
pub(crate) fn drops(feed: &Feed, before: u64, now: u64) -> bool {
    let kept = u64::from(100 - feed.mapping().max_drop_pct);
    let few = if now == 0 { 0 } else { ALWAYS_MAY_LEAVE };
    now.saturating_mul(100) < before.saturating_mul(kept) && before - now > few
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(settings: &str) -> Feed {
        Feed::from_toml(&format!(
            "id = 'f'\nabout = 'people'\nkey = ['REF']\n{settings}\n[columns]\nsurname = 'S'"
        ))
        .unwrap()
    }

    fn report(rows: u64, bad: u64) -> SourceReport {
        let mut report = SourceReport { rows, ..SourceReport::default() };
        (0..bad).for_each(|line| report.set_aside(line, Some("REF"), Rule::KeyMissing));
        report
    }

    #[test]
    fn half_a_file_is_refused_and_a_small_drop_is_not() {
        let feed = feed("expected_rows = 1000");
        for (rows, last, refused) in [
            (1000, None, false),
            (900, None, false),
            (899, None, true),
            (899, Some(950), false),
            (500, Some(1000), true),
            (0, Some(1000), true),
            (3, Some(5), false),
            (2, Some(5), true),
            (0, Some(1), true),
        ] {
            let last = last.map(|rows| Before { rows, taken: 0 });
            assert_eq!(report(rows, 0).judge(&feed, last).is_err(), refused, "{rows} {last:?}");
        }
    }

    #[test]
    fn a_file_of_changes_may_be_as_small_as_it_likes() {
        let last = Before { rows: 1000, taken: 1000 };
        assert_eq!(report(0, 0).judge(&feed("mode = 'delta'"), Some(last)), Ok(()));
    }

    #[test]
    fn a_file_of_which_much_less_is_for_this_node_is_refused() {
        let last = Some(Before { rows: 100, taken: 60 });
        for (taken, settings, refused) in [
            (60, "", false),
            (54, "", false),
            (53, "", true),
            (0, "", true),
            (0, "max_drop_pct = 100", false),
        ] {
            let report = SourceReport { taken, ..report(100, 0) };
            assert_eq!(report.judge(&feed(settings), last).is_err(), refused, "{taken}");
        }
    }

    #[test]
    fn a_mostly_bad_file_is_refused_and_a_few_bad_rows_are_not() {
        let feed = feed("max_quarantine_pct = 5");
        for (rows, bad, refused) in [
            (1000, 50, false),
            (1000, 51, true),
            (10, 5, false),
            (10, 6, true),
            (3, 3, true),
            (3, 2, false),
        ] {
            assert_eq!(report(rows, bad).judge(&feed, None).is_err(), refused, "{bad} of {rows}");
        }
        let refused = report(10, 6).judge(&feed, None).unwrap_err().to_string();
        let said = "6 of 10 rows break a rule, more than 5 %; most often a key column is empty";
        assert_eq!(refused, said);
    }
}
