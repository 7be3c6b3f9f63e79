//! A small town that the stories share: household A of the scenarios, and invented neighbours.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use causeway_certs::{
    files::IdentityFiles,
    name::{Identity, Role},
};
use causeway_node::source::{RawPerson, Restriction, Role as Part};
use causeway_proto::{
    catalogue::{AgencyKind, SignalCode},
    day::Day,
    ids::AgencyId,
};
use causeway_tests::{
    data::{Happening, People, Record, Truth, planted},
    town::{
        Agency, FeedFile, Plan, Town,
        process::{Launcher, Running},
    },
    wiretap::{Heard, Wiretap},
};
use serde_json::Value;
use tempfile::TempDir;

/// The day that sweeps speak of: household A is in tier T3 by then.
pub(crate) const AS_AT: &str = "2025-02-25";

/// Five agencies that together see what none of them sees alone.
pub(crate) const FIVE: [AgencyKind; 5] = [
    AgencyKind::Police,
    AgencyKind::Housing,
    AgencyKind::AdultSocialCare,
    AgencyKind::Nhs,
    AgencyKind::Schools,
];

/// How long to wait for what happens at once on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The household whose alert the stories wait for.
const HOUSEHOLD: &str = "HA";
/// How many neighbours there are.
const NEIGHBOURS: usize = 48;

/// A town with a household that is at risk, and everything that is known of its people.
pub(crate) struct Village {
    /// The federation.
    pub(crate) town: Town,
    /// Who is in its exports.
    pub(crate) people: People,
    // Removed last, after every process has ended.
    folder: TempDir,
}

/// How a village is made.
pub(crate) struct Making<'a> {
    /// Its agencies.
    pub(crate) kinds: &'a [AgencyKind],
    /// Those whose nodes dial out.
    pub(crate) dial_out: &'a [AgencyKind],
    /// How its agents are started.
    pub(crate) launcher: Launcher,
}

impl<'a> Making<'a> {
    /// A village of these agencies, all of which are dialled.
    pub(crate) fn of(kinds: &'a [AgencyKind]) -> Self {
        Self { kinds, dial_out: &[], launcher: Launcher::new(env!("CARGO_BIN_EXE_town")) }
    }

    /// Makes the village and takes in every export. Nobody is started yet.
    pub(crate) fn make(&self) -> anyhow::Result<Village> {
        let folder = tempfile::tempdir()?;
        let people = people(self.kinds)?;
        let agency = |kind: &AgencyKind| -> anyhow::Result<Agency> {
            let exports = folder.path().join("exports").join(id(*kind).as_str());
            Ok(Agency {
                id: id(*kind),
                kind: *kind,
                feeds: export(&people, *kind, &exports)?,
                policy: policy(*kind),
                dials_out: self.dial_out.contains(kind),
            })
        };
        let plan = Plan {
            agencies: self.kinds.iter().map(agency).collect::<anyhow::Result<_>>()?,
            as_at: AS_AT.parse()?,
            measure_links: false,
        };
        let town = Town::make(&folder.path().join("town"), self.launcher.clone(), plan)?;
        town.ingest()?;
        Ok(Village { town, people, folder })
    }

    /// Makes the village with every node up. The coordinator is not started.
    pub(crate) fn up(&self) -> anyhow::Result<Village> {
        let mut village = self.make()?;
        village.town.start_nodes()?;
        village.settings(|text| text)?;
        Ok(village)
    }
}

/// Makes a village of the five agencies with every node up. The coordinator is not started.
pub(crate) fn five() -> anyhow::Result<Village> {
    Making::of(&FIVE).up()
}

/// A village where every line between the coordinator and a node is listened in on.
pub(crate) struct Tapped {
    /// The village.
    pub(crate) village: Village,
    /// One listener per node, in the order of [`FIVE`].
    pub(crate) taps: Vec<Wiretap>,
}

/// Makes a village of the five agencies with every node up and every line listened in on. The
/// coordinator is not started.
pub(crate) fn tapped() -> anyhow::Result<Tapped> {
    tap(five()?)
}

/// Listens in on every line of a village whose nodes are up.
pub(crate) fn tap(village: Village) -> anyhow::Result<Tapped> {
    let coordinator = village.identity("coordinator");
    let mut taps = Vec::new();
    for node in village.town.nodes() {
        let files = village.identity(node.agency.id.as_str());
        let name = village.name(node.agency.kind);
        let address = node.address.clone().context("it listens")?;
        taps.push(Wiretap::between(&coordinator, (&files, &name), address)?);
    }
    let tapped = Tapped { village, taps };
    tapped.settings(|text| text)?;
    Ok(tapped)
}

impl Tapped {
    /// Returns what was heard on each line since the last time.
    pub(crate) fn take(&self) -> Vec<Heard> {
        self.taps.iter().map(Wiretap::take).collect()
    }

    /// Returns the listener on an agency's line.
    pub(crate) fn tap(&self, kind: AgencyKind) -> &Wiretap {
        &self.taps[self.village.place(kind)]
    }

    /// Writes the coordinator's settings so that it dials the listeners.
    pub(crate) fn settings(&self, change: impl FnOnce(String) -> String) -> anyhow::Result<()> {
        self.village.settings(|mut text| {
            for (node, tap) in self.village.town.nodes().iter().zip(&self.taps) {
                let address = node.address.as_deref().unwrap_or_default();
                text = text.replace(address, &tap.address());
            }
            change(text)
        })
    }

    /// Starts an agency's node again, where its line then leads.
    pub(crate) fn restart(&mut self, kind: AgencyKind) -> anyhow::Result<()> {
        let place = self.village.place(kind);
        self.village.town.start_node(place)?;
        let address = self.village.town.nodes()[place].address.clone();
        self.taps[place].lead_to(address.context("it listens")?);
        Ok(())
    }
}

/// Returns the short name of the agency of a kind.
pub(crate) fn id(kind: AgencyKind) -> AgencyId {
    kind.to_string().replace('_', "-").parse().expect("kinds make short names")
}

impl Village {
    /// Makes a sweep as at the day of the village, and returns its result.
    pub(crate) fn sweep(&self) -> anyhow::Result<Value> {
        Ok(self.town.coordinate(&["sweep", "--as-at", AS_AT])?.0)
    }

    /// Lists an agency's inbox.
    pub(crate) fn inbox(&self, kind: AgencyKind) -> anyhow::Result<Vec<Value>> {
        let list = self.town.ask_node(&id(kind), &["inbox", "list"])?;
        Ok(list.as_array().context("an inbox is a list")?.clone())
    }

    /// Returns the place of an agency's node.
    pub(crate) fn place(&self, kind: AgencyKind) -> usize {
        let nodes = self.town.nodes().iter();
        nodes.map(|node| node.agency.kind).position(|k| k == kind).expect("it is in the village")
    }

    /// Returns an agency's node while it runs.
    pub(crate) fn node(&mut self, kind: AgencyKind) -> anyhow::Result<&mut Running> {
        let place = self.place(kind);
        self.town.node_mut(place).running()
    }

    /// Returns the files of a member's identity.
    pub(crate) fn identity(&self, who: &str) -> IdentityFiles {
        IdentityFiles::in_folder(self.town.folder().join(who).join("identity"))
    }

    /// Returns what an agency's node is called.
    pub(crate) fn name(&self, kind: AgencyKind) -> Identity {
        Identity::new(self.town.ca().deployment().clone(), Role::Node, id(kind))
    }

    /// Returns a folder for whatever else a story makes.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the coordinator's settings with short patience and whatever `change` makes of them.
    pub(crate) fn settings(&self, change: impl FnOnce(String) -> String) -> anyhow::Result<()> {
        self.town.write_coordinator_settings()?;
        let path = self.town.coordinator_config();
        let patient = "[sweep]\ncall_seconds = 10\npatience_seconds = 2\n";
        let text = fs::read_to_string(&path)?.replace("[sweep]\n", patient);
        Ok(fs::write(path, change(text))?)
    }
}

/// Returns the alert of household A in the result of a sweep.
pub(crate) fn alert(report: &Value) -> anyhow::Result<&Value> {
    let alerts = report["alerts"].as_array().context("a sweep has alerts")?;
    ensure!(alerts.len() == 1, "one household is at risk, and these are told of: {alerts:#?}");
    Ok(&alerts[0])
}

/// Returns whom the alert of household A goes to.
pub(crate) fn recipients(report: &Value) -> anyhow::Result<Vec<String>> {
    let told = alert(report)?["recipients"].as_array().context("an alert has recipients")?;
    Ok(told.iter().filter_map(|who| who["agency"].as_str()).map(str::to_owned).collect())
}

/// Returns why an agency is not part of a result, if it is not.
pub(crate) fn problem(report: &Value, kind: AgencyKind) -> Option<&str> {
    let agencies = report["agencies"].as_array()?;
    let agency = agencies.iter().find(|agency| agency["id"] == id(kind).as_str())?;
    agency["problem"].as_str()
}

/// Looks until there is an answer, and fails when there is none in time.
pub(crate) fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "waited {} s for {what}", patience.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

// === the people ===

fn people(kinds: &[AgencyKind]) -> anyhow::Result<People> {
    let mut people = planted::people()?;
    people.records.retain(|r| r.truth.household == HOUSEHOLD && kinds.contains(&r.agency));
    let ours: Vec<(AgencyKind, String)> =
        people.records.iter().map(|r| (r.agency, r.local_id.clone())).collect();
    people.happenings.retain(|h| ours.contains(&(h.agency, h.local_id.clone())));
    for number in 0..NEIGHBOURS {
        neighbour(number, kinds, &mut people)?;
    }
    Ok(people)
}

const FORENAMES: [&str; 8] = [
    "Gwendolen",
    "Bertram",
    "Philippa",
    "Cornelius",
    "Marigold",
    "Tarquin",
    "Ottoline",
    "Lysander",
];
const SURNAMES: [&str; 12] = [
    "Thistlewood",
    "Ravenscar",
    "Applegarth",
    "Winterbourne",
    "Kettlewell",
    "Oakeshott",
    "Farthingale",
    "Mossgrove",
    "Birkenshaw",
    "Cranmore",
    "Hawksworth",
    "Penhallow",
];
const STREETS: [&str; 6] = [
    "Quillfeather Lane",
    "Bramblewick Road",
    "Copperkettle Mews",
    "Saltmarsh Parade",
    "Windlestraw Avenue",
    "Tollgate Rise",
];

/// Somebody known to one agency, or to two, to whom little or nothing has happened.
fn neighbour(number: usize, kinds: &[AgencyKind], people: &mut People) -> anyhow::Result<()> {
    let (year, month, day) = (1938 + (number * 7) % 62, 1 + number % 12, 2 + (number * 5) % 27);
    let person = RawPerson {
        forename: FORENAMES[number % FORENAMES.len()].into(),
        surname: SURNAMES[(number / 4) % SURNAMES.len()].into(),
        dob: format!("{year}-{month:02}-{day:02}"),
        sex: if number.is_multiple_of(2) { "F" } else { "M" }.into(),
        address: format!("{} {}", 20 + number, STREETS[number % STREETS.len()]),
        postcode: format!(
            "ZX{} {}{}Q",
            2 + number % 7,
            1 + number / 8,
            char::from(b'A' + (number % 8) as u8)
        ),
        uprn: format!("99997{:07}", 1_340_077 + number * 7919),
        nhs: nhs_number(number),
        ..RawPerson::default()
    };
    let first = kinds[number % kinds.len()];
    let second = kinds[(number + 1) % kinds.len()];
    let known_to =
        if number.is_multiple_of(3) && second != first { vec![first, second] } else { vec![first] };
    for agency in known_to {
        let local_id = format!("{}-REF-{:05}", agency.to_string().to_uppercase(), 70_000 + number);
        people.records.push(Record {
            agency,
            source: "neighbours".into(),
            local_id: local_id.clone(),
            person: person.clone(),
            restriction: None,
            truth: Truth { person: format!("n{number}"), household: format!("bg-{number}") },
        });
        if agency == AgencyKind::Housing && number.is_multiple_of(2) {
            people.happenings.push(Happening {
                agency,
                local_id,
                event_ref: format!("ARREARS-{number}"),
                code: "HOU_ARREARS_8W".parse()?,
                role: Part::Subject,
                start: Day::new(2024, 11, 4).context("a day")?,
                end: None,
            });
        }
    }
    Ok(())
}

/// A number of the range that is kept for tests, with its check digit.
fn nhs_number(number: usize) -> String {
    (number * 11..)
        .map(|tail| format!("999{:06}", 310_000 + tail))
        .find_map(|nine| {
            let digits = nine.bytes().map(|digit| usize::from(digit - b'0'));
            let sum: usize = digits.zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
            match 11 - sum % 11 {
                10 => None,
                11 => Some(format!("{nine}0")),
                check => Some(format!("{nine}{check}")),
            }
        })
        .expect("most numbers have a check digit")
}

// === as the agencies' systems write it ===

/// Columns of a people export, as [`person_row`] fills them.
pub(crate) const PEOPLE_HEADER: &str =
    "REF,TITLE,FORENAME,MIDDLE,SURNAME,DOB,SEX,ADDRESS,POSTCODE,UPRN,NHS,UPN,NINO,ACCESS";

/// Writes a record as a line of an export.
pub(crate) fn person_row(record: &Record) -> Vec<String> {
    let p = &record.person;
    let mark = match record.restriction {
        None => "",
        Some(Restriction::Restricted) => "R",
        Some(Restriction::Shielded) => "S",
        Some(Restriction::PreAdoption) => "A",
    };
    [
        &record.local_id,
        &p.title,
        &p.forename,
        &p.middle,
        &p.surname,
        &p.dob,
        &p.sex,
        &p.address,
        &p.postcode,
        &p.uprn,
        &p.nhs,
        &p.upn,
        &p.nino,
        mark,
    ]
    .map(str::to_owned)
    .into()
}

/// Returns the mapping that reads people exports.
pub(crate) fn people_mapping() -> String {
    let columns = "TITLE,FORENAME,MIDDLE,SURNAME,DOB,SEX,ADDRESS,POSTCODE,UPRN,NHS,UPN,NINO";
    let columns: String = columns
        .split(',')
        .map(|column| format!("{} = \"{column}\"\n", column.to_lowercase()))
        .collect();
    format!(
        "id = \"people\"\nabout = \"people\"\ndates = [\"%Y-%m-%d\"]\nkey = [\"REF\"]\n\
         accept_test_ranges = true\n\n[columns]\n{columns}\n\
         [restricted]\ncolumn = \"ACCESS\"\nopen = []\n\
         values = {{ R = \"restricted\", S = \"shielded\", A = \"pre_adoption\" }}\n"
    )
}

const EVENTS_MAPPING: &str = "id = \"events\"\nabout = \"events\"\nperson_feed = \"people\"\n\
    dates = [\"%Y-%m-%d\"]\nkey = [\"EVENT\", \"REF\"]\n\n\
    [columns]\nperson = \"REF\"\nevent_ref = \"EVENT\"\ntype = \"TYPE\"\nrole = \"ROLE\"\n\
    start = \"START\"\nend = \"END\"\n\n\
    [roles]\nVICTIM = \"victim\"\nSUBJECT = \"subject\"\nSUSPECT = \"suspect\"\nWITNESS = \"witness\"\n\n\
    [codes]\n";

fn export(people: &People, kind: AgencyKind, folder: &Path) -> anyhow::Result<Vec<FeedFile>> {
    fs::create_dir_all(folder)?;
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let mut writer = csv::Writer::from_path(file("people.csv"))?;
    writer.write_record(PEOPLE_HEADER.split(','))?;
    for record in people.records.iter().filter(|record| record.agency == kind) {
        writer.write_record(person_row(record))?;
    }
    writer.flush()?;
    fs::write(file("people.toml"), people_mapping())?;

    let mut writer = csv::Writer::from_path(file("events.csv"))?;
    writer.write_record(["EVENT", "REF", "TYPE", "ROLE", "START", "END"])?;
    for h in people.happenings.iter().filter(|happening| happening.agency == kind) {
        let role = match h.role {
            Part::Victim => "VICTIM",
            Part::Suspect => "SUSPECT",
            Part::Witness => "WITNESS",
            _ => "SUBJECT",
        };
        let end = h.end.map(|day| day.to_string()).unwrap_or_default();
        let (code, start) = (h.code.to_string(), h.start.to_string());
        writer.write_record([&h.event_ref, &h.local_id, &code, role, &start, &end])?;
    }
    writer.flush()?;
    let codes: String = own_codes(kind).map(|code| format!("{code} = \"{code}\"\n")).collect();
    fs::write(file("events.toml"), format!("{EVENTS_MAPPING}{codes}"))?;

    let feed = |id: &str| FeedFile {
        id: id.into(),
        mapping: file(&format!("{id}.toml")),
        file: file(&format!("{id}.csv")),
    };
    Ok(vec![feed("people"), feed("events")])
}

fn own_codes(kind: AgencyKind) -> impl Iterator<Item = SignalCode> {
    SignalCode::all().filter(move |code| code.spec().owner == Some(kind))
}

/// A policy that lets go of everything the agency may say at all.
fn policy(kind: AgencyKind) -> String {
    let purposes = ["adult_safeguarding", "child_safeguarding", "asb_hate"];
    let basis: String = purposes
        .iter()
        .map(|purpose| format!("[purpose.{purpose}]\nlawful_basis = \"6(1)(e)\"\n\n"))
        .collect();
    let codes: Vec<String> = SignalCode::all()
        .filter(|code| code.spec().owner.is_none_or(|owner| owner == kind))
        .map(|code| format!("\"{code}\""))
        .collect();
    format!(
        "[node]\nid = \"{}\"\ncontroller = \"the head of {}\"\nregime = \"part2\"\n\n{basis}\
         [release]\ndefault = \"deny\"\n\n[[release.rule]]\ncode = [{}]\npurpose = {purposes:?}\n\
         max_age_days = 3650\ndetail = \"code+day\"\n\n[scope]\npeople = \"everybody\"\n\n\
         [disclose]\ncontact = true\n",
        id(kind),
        kind.in_words(),
        codes.join(", "),
    )
}
