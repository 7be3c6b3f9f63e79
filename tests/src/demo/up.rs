//! `town up`: a town that goes on until it is told to stop.

use std::{fs, io::Write, path::Path};

use anyhow::ensure;
use causeway_proto::{day::Day, ids::AgencyId};

use super::{Clock, Raised, Settings, raise};
use crate::{
    interrupt::{self, Scratch},
    town::{Town, process::Launcher},
};

/// Where a town is made that goes on.
pub enum Place<'a> {
    /// A folder that somebody named.
    Given(&'a Path),
    /// A new one, which is gone if the town never comes up.
    New(Scratch),
}

/// Makes a town in an empty folder, sweeps it once and leaves it running until SIGINT or SIGTERM.
pub fn up(
    settings: &Settings,
    place: Place<'_>,
    launcher: Launcher,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let folder = match &place {
        Place::Given(folder) => folder,
        Place::New(scratch) => scratch.path(),
    };
    let is_empty = !folder.exists() || fs::read_dir(folder)?.next().is_none();
    ensure!(is_empty, "{} is not empty: name a folder that is, or is not there", folder.display());
    fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let mut clock = Clock::default();
    let Raised { mut town, .. } = raise(settings, &folder, launcher, &mut clock)?;
    town.start_coordinator()?;
    let as_at = settings.as_at.to_string();
    let (report, _) = town.coordinate(&["sweep", "--as-at", &as_at])?;
    let alerts = report["alerts"].as_array().map_or(0, Vec::len);
    clock.lap("sweep", &format!("the coordinator swept them: {alerts} alerts"));
    // From here on a signal stops it in good order, and the folder stays.
    let runtime = tokio::runtime::Runtime::new()?;
    let stopped = runtime.spawn(causeway_node::cli::stopped());
    interrupt::release();
    if let Place::New(scratch) = place {
        scratch.keep();
    }
    let lead = report["alerts"][0]["recipients"][0]["agency"].as_str();
    tell(&town, lead, (settings.as_at, &folder), out)?;
    runtime.block_on(stopped)?;
    town.stop()
}

fn tell(
    town: &Town,
    lead: Option<&str>,
    (as_at, folder): (Day, &Path),
    out: &mut impl Write,
) -> anyhow::Result<()> {
    writeln!(out, "\nThe town runs in {}", folder.display())?;
    for node in town.nodes() {
        let address = node.address.as_deref().unwrap_or("dials out");
        writeln!(out, "  {:<24} {address}", node.agency.id.as_str())?;
    }
    writeln!(out, "  {:<24} {}", "coordinator", town.coordinator_address())?;
    let coordinator = town.coordinator_config();
    let agency: AgencyId = lead.unwrap_or("police").parse()?;
    let node = town.node_config(&agency);
    let (coordinator, node) = (coordinator.display(), node.display());
    writeln!(
        out,
        "\nIn another terminal:\n\
         \x20 town coordinator --config {coordinator} status\n\
         \x20 town coordinator --config {coordinator} alerts\n\
         \x20 town coordinator --config {coordinator} sweep --as-at {as_at}\n\
         \x20 town node --config {node} inbox list\n\
         (`town` is this program; `town node` and `town coordinator` are the agents' own command \
         lines.)\nThe exports end on {as_at}: later days see nothing new. `town up --as-at 2025-09-23` has exports \
         that go on until then.\nCtrl-C stops it; the folder stays."
    )?;
    Ok(out.flush()?)
}
