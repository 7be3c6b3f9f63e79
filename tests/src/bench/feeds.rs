//! The exports of the bench's agencies: a crowd, what happened to a few of them, and households that
//! are one event away from an alert.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use causeway_proto::catalogue::{AgencyKind, SignalClass, SignalCode};

use super::people::{self, Crowd, Edition};
use crate::{
    standard,
    town::{Agency, FeedFile},
};

/// Of so many people at an agency, something happened to one.
const ONE_IN: u64 = 100;
/// The agency whose export changes, and that whose store the alert arrives in: by their places.
pub(super) const TELLS: usize = 2;
pub(super) const IS_TOLD: usize = 0;

/// What happened to a planted household before: by the place of the agency, what and when.
const BEFORE: [(usize, &str, &str); 8] = [
    (0, "POL_ASB_VICTIM", "2025-01-11"),
    (0, "POL_ASB_VICTIM", "2025-02-02"),
    (0, "POL_ASB_VICTIM", "2025-02-11"),
    (0, "POL_ASB_VICTIM", "2025-02-19"),
    (0, "POL_HATE_INCIDENT", "2025-02-12"),
    (1, "HOU_ASB_COMPLAINANT", "2025-01-22"),
    (1, "HOU_ASB_COMPLAINANT", "2025-02-20"),
    (2, "ASC_UNPAID_CARER", "2025-02-24"),
];
/// What the last of these is changed to.
const TOLD: &str = "ASC_SUICIDAL_DISCLOSURE";

const EVENTS: &str = "id = \"events\"\nabout = \"events\"\nperson_feed = \"people\"\n\
    dates = [\"%Y-%m-%d\"]\nkey = [\"EVENT\", \"REF\"]\n\n\
    [columns]\nperson = \"REF\"\nevent_ref = \"EVENT\"\ntype = \"TYPE\"\nrole = \"ROLE\"\nstart = \"START\"\n\n\
    [roles]\nVICTIM = \"victim\"\nSUBJECT = \"subject\"\n\n[codes]\n";

/// Writes the exports of every agency and the mappings that read them.
pub(super) fn write(
    crowd: &Crowd,
    agencies: usize,
    planted: u64,
    folder: &Path,
) -> anyhow::Result<Vec<Agency>> {
    ensure!(planted == 0 || agencies > TELLS, "`--live` needs at least 3 agencies");
    let mut made = Vec::new();
    for at in 0..agencies {
        let id = format!("agency-{}", at + 1);
        let home = folder.join(&id);
        fs::create_dir_all(&home)?;
        let kind = kind(at);
        let file = |id: &str| FeedFile {
            id: id.into(),
            mapping: home.join(format!("{id}.toml")),
            file: home.join(format!("{id}.csv")),
        };
        let feeds = vec![file("people"), file("events")];
        people(crowd, at, planted, Edition::First, &feeds[0].file)?;
        fs::write(&feeds[0].mapping, standard::mapping(&people::HEADER, None))?;
        events(crowd, at, planted, 0, &feeds[1].file)?;
        let codes: String = own(kind).map(|code| format!("{code} = \"{code}\"\n")).collect();
        fs::write(&feeds[1].mapping, format!("{EVENTS}{codes}"))?;
        let policy = policy(&id, kind);
        made.push(Agency { id: id.parse()?, kind, feeds, policy, dials_out: false });
    }
    Ok(made)
}

/// Writes an agency's people.
pub(super) fn people(
    crowd: &Crowd,
    agency: usize,
    planted: u64,
    edition: Edition,
    file: &Path,
) -> anyhow::Result<()> {
    let planted = if agency <= TELLS { planted } else { 0 };
    crowd.write(agency as u64, planted, edition, file)
}

/// Writes an agency's events: those of the first `changed` planted households as they are at last.
pub(super) fn events(
    crowd: &Crowd,
    agency: usize,
    planted: u64,
    changed: u64,
    file: &Path,
) -> anyhow::Result<()> {
    let mut out = csv::Writer::from_path(file)?;
    out.write_record(["EVENT", "REF", "TYPE", "ROLE", "START"])?;
    let harm = |code: &SignalCode| {
        let spec = code.spec();
        spec.class == SignalClass::Harm && !spec.of_suspect
    };
    if let Some(code) = own(kind(agency)).find(harm) {
        for row in (3..crowd.per_agency()).step_by(ONE_IN as usize) {
            let (event, whose) = (format!("E{row}"), crowd.local_id(agency as u64, row));
            out.write_record([&event, &whose, code.as_str(), "VICTIM", "2024-11-05"])?;
        }
    }
    for household in 0..planted {
        for (at, (of, code, day)) in BEFORE.iter().enumerate() {
            if *of == agency {
                let is_told = agency == TELLS && household < changed;
                let code = if is_told { TOLD } else { code };
                let (event, whose) = (format!("P{household}-{at}"), people::planted_id(household));
                out.write_record([&event, &whose, code, "SUBJECT", day])?;
            }
        }
    }
    Ok(out.flush()?)
}

/// Returns where another export of an agency's feed is written.
pub(super) fn another(feed: &FeedFile, name: &str) -> PathBuf {
    feed.file.with_file_name(format!("{}-{name}.csv", feed.id))
}

fn kind(agency: usize) -> AgencyKind {
    AgencyKind::ALL[agency % AgencyKind::ALL.len()]
}

fn own(kind: AgencyKind) -> impl Iterator<Item = SignalCode> {
    SignalCode::all().filter(move |code| code.spec().owner == Some(kind))
}

/// A policy that lets go of what the agency's own codes say.
fn policy(id: &str, kind: AgencyKind) -> String {
    let codes: Vec<String> = own(kind).map(|code| format!("\"{code}\"")).collect();
    format!(
        "[node]\nid = \"{id}\"\ncontroller = \"measuring\"\nregime = \"part2\"\n\n\
         [purpose.adult_safeguarding]\nlawful_basis = \"6(1)(e)\"\n\n\
         [release]\ndefault = \"deny\"\n\n[[release.rule]]\ncode = [{}]\n\
         purpose = [\"adult_safeguarding\"]\nmax_age_days = 3650\ndetail = \"code+day\"\n\n\
         [scope]\npeople = \"everybody\"\n",
        codes.join(", ")
    )
}
