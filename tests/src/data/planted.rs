//! The scenarios: households whose story and outcome are known, invented after cases that were.

use causeway_node::source::{RawPerson, Restriction, Role};
use causeway_proto::{catalogue::SignalCode, day::Day};

use anyhow::{Context, bail};
use csv::StringRecord;

use super::{Happening, People, Record, Truth};

/// The people of the scenarios, one line per record of one system.
pub const PEOPLE: &str = include_str!("../../data/people.csv");
/// What happened to them.
pub const EVENTS: &str = include_str!("../../data/events.csv");

/// The refuge's resident of scenario D6: her system marks the address as protected.
const SHIELDED: &str = "T-860";
/// The child of scenario D4 before the adoption, whose system marks the record so.
const PRE_ADOPTION: &str = "L-840";

/// Returns everybody who is planted.
pub fn people() -> anyhow::Result<People> {
    let records = rows(PEOPLE)?.iter().map(record).collect::<anyhow::Result<_>>()?;
    let happenings = rows(EVENTS)?.iter().map(happening).collect::<anyhow::Result<_>>()?;
    Ok(People { records, happenings })
}

/// Rows by the names of their columns.
fn rows(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers()?.clone();
    reader.records().map(|fields| Ok(Row { header: header.clone(), fields: fields? })).collect()
}

struct Row {
    header: StringRecord,
    fields: StringRecord,
}

impl Row {
    fn get(&self, column: &str) -> anyhow::Result<&str> {
        let at = self.header.iter().position(|name| name == column);
        at.and_then(|at| self.fields.get(at)).with_context(|| format!("no column `{column}`"))
    }
}

fn record(row: &Row) -> anyhow::Result<Record> {
    let text = |column: &str| row.get(column).map(str::to_owned);
    let local_id = text("local_id")?;
    let person = text("true_person")?;
    Ok(Record {
        agency: row.get("agency")?.parse()?,
        source: text("source")?,
        person: RawPerson {
            title: text("title")?,
            forename: text("forename")?,
            middle: text("middle")?,
            surname: text("surname")?,
            alias: text("alias")?,
            dob: text("dob")?,
            sex: text("sex")?,
            address: text("addr")?,
            postcode: text("postcode")?,
            uprn: text("uprn")?,
            nhs: text("nhs")?,
            upn: text("upn")?,
            nino: text("nino")?,
            ..RawPerson::default()
        },
        restriction: match local_id.as_str() {
            SHIELDED => Some(Restriction::Shielded),
            PRE_ADOPTION => Some(Restriction::PreAdoption),
            _ => None,
        },
        truth: Truth {
            person: if person == "?" { String::new() } else { person },
            household: text("true_household")?,
        },
        local_id,
    })
}

fn happening(row: &Row) -> anyhow::Result<Happening> {
    let code: SignalCode = row.get("event_type")?.parse()?;
    let end = row.get("end")?;
    let day = |text: &str| text.parse::<Day>().with_context(|| format!("`{text}` is no day"));
    Ok(Happening {
        agency: row.get("agency")?.parse()?,
        local_id: row.get("local_id")?.to_owned(),
        event_ref: row.get("event_ref")?.to_owned(),
        code,
        role: role(row.get("role")?)?,
        start: day(row.get("start")?)?,
        end: (!end.is_empty()).then(|| day(end)).transpose()?,
    })
}

fn role(text: &str) -> anyhow::Result<Role> {
    Ok(match text {
        "VICTIM" => Role::Victim,
        "SUBJECT" => Role::Subject,
        "SUSPECT" => Role::Suspect,
        "WITNESS" => Role::Witness,
        _ => bail!("`{text}` is no role of the scenarios"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_of_a_record_that_is_there() -> anyhow::Result<()> {
        let people = people()?;
        for happening in &people.happenings {
            let whose = |record: &&Record| {
                (record.agency, &record.local_id) == (happening.agency, &happening.local_id)
            };
            assert_eq!(people.records.iter().filter(whose).count(), 1, "{happening:?}");
        }
        Ok(())
    }
}
