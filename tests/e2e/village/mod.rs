//! A small town that the stories share: household A of the scenarios, and invented neighbours.

mod exports;
mod extract;
mod people;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use causeway_certs::{
    files::IdentityFiles,
    name::{Identity, Role},
};
use causeway_proto::{catalogue::AgencyKind, ids::AgencyId};
use causeway_tests::{
    data::People,
    town::{
        Agency, Plan, Town,
        process::{Launcher, Running},
    },
    wiretap::{Heard, Wiretap},
};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use self::extract::Extract;

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

/// A town with a household that is at risk, and everything that is known of its people.
pub(crate) struct Village {
    /// The federation.
    pub(crate) town: Town,
    /// Who is in its exports.
    pub(crate) people: People,
    // Removed last, after every process has ended.
    folder: TempDir,
}

/// Starts agents out of `town`.
pub(crate) fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_town"))
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
        Self { kinds, dial_out: &[], launcher: launcher() }
    }

    /// Makes the village and takes in every export. Nobody is started yet.
    pub(crate) fn make(&self) -> anyhow::Result<Village> {
        let folder = tempfile::tempdir()?;
        let people = people::everybody(self.kinds)?;
        let agency = |kind: &AgencyKind| -> anyhow::Result<Agency> {
            let home = folder.path().join("exports").join(id(*kind).as_str());
            Ok(Agency {
                id: id(*kind),
                kind: *kind,
                feeds: exports::export(&people, *kind, &home)?,
                policy: exports::policy(*kind),
                dials_out: self.dial_out.contains(kind),
            })
        };
        let plan = Plan {
            agencies: self.kinds.iter().map(agency).collect::<anyhow::Result<_>>()?,
            as_at: AS_AT.parse()?,
            measure_links: false,
            measure_dump: false,
            look_at_all: false,
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
    /// Starts a sweep of the coordinator's command line, with these arguments.
    pub(crate) fn begin_sweep(&self, args: &[&str]) -> anyhow::Result<Child> {
        let mut town = Command::new(env!("CARGO_BIN_EXE_town"));
        town.args(["coordinator", "--config"]).arg(self.town.coordinator_config());
        town.args(["sweep", "--as-at", AS_AT]).args(args);
        Ok(town.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }

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
