//! The rules of a mapping, each with a problem that names the key and what to write instead.

use std::collections::HashMap;

use causeway_proto::catalogue::SignalCode;
use glob::Pattern;

use super::{EVENT_FIELDS, MERGED_INTO, Meaning, Problem};
use crate::source::{
    mapping::{About, Codes, Columns, Mapping, Mode},
    record::{PersonField, Role},
    suggest::did_you_mean,
};

fn problem(key: impl Into<String>, problem: impl Into<String>) -> Problem {
    (key.into(), problem.into())
}

/// Adds a word of theirs, which is read in any case and so must not stand twice.
pub(super) fn insert<T>(
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

pub(super) fn numbers(mapping: &Mapping) -> Result<(), Problem> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=64).contains(&mapping.id.len()) || !mapping.id.chars().all(allowed) {
        return Err(problem("id", "use 1 to 64 lowercase letters, digits and hyphens"));
    }
    if !(1..=100).contains(&mapping.max_drop_pct) {
        return Err(problem("max_drop_pct", "use 1 to 100; 10 suits most feeds"));
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
    if mapping.born_from.is_some_and(|year| !(1000..1900).contains(&year)) {
        let fix = "use 1000 to 1899, and only for a register of the past: without it, births before 1900 are not known";
        return Err(problem("born_from", fix));
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
pub(super) fn delivery(mapping: &Mapping) -> Result<Vec<Pattern>, Problem> {
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

pub(super) fn columns(mapping: &Mapping) -> Result<Vec<(String, Vec<String>)>, Problem> {
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

pub(super) fn people(mapping: &Mapping) -> Result<(), Problem> {
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

pub(super) fn events(mapping: &Mapping) -> Result<(), Problem> {
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

pub(super) fn default_role(mapping: &Mapping, code: SignalCode) -> Result<(), Problem> {
    match mapping.default_role {
        Some(role) if !role.may_carry(code) => {
            Err(problem("default_code", never_said_of(code, role)))
        }
        _ => Ok(()),
    }
}

pub(super) fn meaning(theirs: &str, ours: &Codes) -> Result<Meaning, Problem> {
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
pub(super) fn signal(key: &str, name: &str) -> Result<SignalCode, Problem> {
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
