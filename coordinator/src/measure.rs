//! Writes one sweep's links by handles, for measuring linkage with the nodes' help.
//!
//! Handles die with the sweep and only nodes can say whom they stood for. Still a link graph is a
//! link graph: the settings have to allow it, and the file is this user's only.

use std::{fmt::Write, path::Path};

use causeway_certs::{certificate::hex, files::write_secret};
use causeway_proto::ids::SweepId;

use crate::{
    app::Swept,
    config::CoordinatorConfig,
    cycle::{Linked, report},
};

/// Writes the file: a line for each record, with its person, and one for each candidate pair, with
/// its match-keys and levels (packed, hexadecimal) and its weight in bits, or `veto`.
///
/// After each pair, where it is wanted, its evidence as JSON.
pub fn write(
    path: &Path,
    config: &CoordinatorConfig,
    sweep: SweepId,
    (linked, with_evidence): (&Linked, bool),
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
    let agency = |at: usize| config.nodes[at].id.clone();
    let all = pairs.iter().zip(levels).zip(&decision.bits).enumerate();
    for (at, ((pair, levels), bits)) in all.filter(|(_, ((pair, _), _))| pair.kinds != 0) {
        let bits = bits.map_or("veto".into(), |bits| format!("{bits:.3}"));
        let (a, b, kinds, levels) = (name(pair.a), name(pair.b), pair.kinds, levels.bits());
        writeln!(text, "pair,{a},{b},{kinds:x},{levels:x},{bits}")?;
        if with_evidence {
            let evidence = serde_json::to_string(&report::link(agency, linked, at))?;
            writeln!(text, "evidence,{evidence}")?;
        }
    }
    Ok(write_secret(path, text.as_bytes())?)
}

/// Writes everything that the sweep received: a line for each record with its flags and its tokens in
/// the order of the kinds, one for each comparison, decoys among them, and one for each home.
///
/// # Errors
/// Fails when the settings do not allow it, or when the file cannot be written.
pub fn dump(path: &Path, config: &CoordinatorConfig, swept: &Swept) -> anyhow::Result<()> {
    let Some(received) = &swept.received else {
        anyhow::bail!(
            "what a sweep receives is written only where the settings say `[sweep] measure_dump = true`"
        );
    };
    let Linked { records, decision, .. } = &swept.linked;
    let name = |record: u32| {
        let agency = &config.nodes[records.agency(record)].id;
        format!("{agency},{}", hex(records.handle(record).as_bytes()))
    };
    let mut text = format!("sweep,{}\n", hex(swept.sweep.as_bytes()));
    let received = received.lock();
    for (record, person) in (0u32..).zip(&decision.persons) {
        let flags = records.flags(record).0;
        write!(text, "record,{},{person},{flags:x}", name(record))?;
        for (kind, slot, token) in received.tokens_of(record) {
            write!(text, ",{}.{slot}.{token:x}", kind.index())?;
        }
        text.push('\n');
    }
    for ((record, kind, slot), packed) in &received.looks {
        writeln!(text, "look,{},{},{slot},{}", name(*record), kind.index(), hex(packed))?;
    }
    for (record, keys) in &received.homes {
        writeln!(text, "home,{},{}", name(*record), keys.join(","))?;
    }
    Ok(write_secret(path, text.as_bytes())?)
}
