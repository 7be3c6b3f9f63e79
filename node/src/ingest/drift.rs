//! Notices that a number was given to somebody else.
//!
//! Systems reuse the references of closed records. Where surname and date of birth are both others
//! than last time, believing the row would hang one person's past on another.

use std::collections::HashMap;

use crate::{
    normalise::{BirthDate, Person, Rules, normalise},
    source::{Feed, PersonRow, RawPerson, Rule, SourceReport, mapping::Drift},
    store::{StoreError, records, records::Known},
};

/// Sets aside the rows whose record would become somebody else's.
pub(super) async fn set_aside(
    conn: &mut sqlx::SqliteConnection,
    feed: &Feed,
    known: &HashMap<String, Known>,
    rows: Vec<PersonRow>,
    rules: &Rules,
    file: &mut SourceReport,
) -> Result<Vec<PersonRow>, StoreError> {
    if feed.mapping().identity_drift == Drift::Replace {
        return Ok(rows);
    }
    let changed = |row: &&PersonRow| {
        known.get(&row.key).is_some_and(|before| before.hash != *row.hash.as_bytes())
    };
    let keys: Vec<&str> = rows.iter().filter(changed).map(|row| row.key.as_str()).collect();
    let before: HashMap<String, String> = records::by_key(conn, feed.id(), &keys)
        .await?
        .into_iter()
        .map(|record| (record.key, record.fields))
        .collect();
    let (stay, go): (Vec<PersonRow>, Vec<PersonRow>) = rows.into_iter().partition(|row| {
        // Whoever it is about now, a mark that closes a record closes it.
        let Some(before) = before.get(&row.key).filter(|_| row.restricted.is_none()) else {
            return true;
        };
        let (before, _) = normalise(&RawPerson::unpack(before), rules);
        let (now, _) = normalise(&row.raw, rules);
        !is_somebody_else(&before, &now)
    });
    for row in go {
        file.taken -= 1;
        file.set_aside(row.line, None, Rule::IdentityDrift);
        file.keys_set_aside.insert(row.key);
    }
    Ok(stay)
}

/// Returns whether both surname and date of birth are others, and no number says otherwise.
fn is_somebody_else(before: &Person, now: &Person) -> bool {
    let same = |one: bool, both: bool| one && both;
    let number = same(before.nhs.is_some(), before.nhs == now.nhs)
        || same(before.nino.is_some(), before.nino == now.nino)
        || same(before.upn.is_some(), before.upn == now.upn);
    !number && born_otherwise(before, now) && named_otherwise(before, now)
}

fn born_otherwise(before: &Person, now: &Person) -> bool {
    match (before.birth.date, now.birth.date) {
        // Day and month exchanged is a correction.
        (BirthDate::Full(one), BirthDate::Full(other)) => {
            one != other && before.birth.swapped != Some(other)
        }
        _ => match (before.birth.year(), now.birth.year()) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        },
    }
}

fn named_otherwise(before: &Person, now: &Person) -> bool {
    let surnames = |person: &Person| -> Vec<String> {
        let of = |name: &crate::normalise::Name| {
            name.surname.iter().chain(&name.surname_parts).cloned().collect::<Vec<_>>()
        };
        person.names.iter().flat_map(of).collect()
    };
    let forenames = |person: &Person| -> Vec<String> {
        person.names.iter().filter_map(|name| name.forename.clone()).collect()
    };
    let (was, is) = (surnames(before), surnames(now));
    // Forename and surname exchanged is a correction, too.
    let shared = was.iter().any(|name| is.contains(name) || forenames(now).contains(name));
    !was.is_empty() && !is.is_empty() && !shared
}
