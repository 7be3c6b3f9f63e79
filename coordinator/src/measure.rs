//! Writes one sweep's links by handles, for measuring linkage with the nodes' help.
//!
//! Handles die with the sweep and only nodes can say whom they stood for. Still a link graph is a
//! link graph: the settings have to allow it, and the file is this user's only.

use std::{fmt::Write, path::Path};

use causeway_certs::{certificate::hex, files::write_secret};
use causeway_proto::ids::SweepId;

use crate::{config::CoordinatorConfig, cycle::Linked};

/// Writes the file: a line for each record, with its person, and one for each candidate pair, with
/// its match-keys and levels (packed, hexadecimal) and its weight in bits, or `veto`.
pub fn write(
    path: &Path,
    config: &CoordinatorConfig,
    sweep: SweepId,
    linked: &Linked,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.sweep.measure_links,
        "links are written only where the settings say `[sweep] measure_links = true`"
    );
    let Linked { records, pairs, levels, decision, .. } = linked;
    let name = |record: u32| {
        let agency = &config.nodes[records.agency(record)].id;
        format!("{agency},{}", hex(records.handle(record).as_bytes()))
    };
    let mut text = format!("sweep,{}\n", hex(sweep.as_bytes()));
    for (record, (person, unclear)) in
        (0u32..).zip(decision.persons.iter().zip(&decision.ambiguous))
    {
        let unclear = if *unclear { "ambiguous" } else { "" };
        writeln!(text, "record,{},{person},{unclear}", name(record))?;
    }
    for ((pair, levels), bits) in pairs.iter().zip(levels).zip(&decision.bits) {
        let bits = bits.map_or("veto".into(), |bits| format!("{bits:.3}"));
        let (a, b, kinds, levels) = (name(pair.a), name(pair.b), pair.kinds, levels.bits());
        writeln!(text, "pair,{a},{b},{kinds:x},{levels:x},{bits}")?;
    }
    Ok(write_secret(path, text.as_bytes())?)
}
