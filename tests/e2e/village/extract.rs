//! Full extracts of an agency's feeds, as they change.

use std::{fs, path::PathBuf};

use anyhow::Context;
use causeway_proto::catalogue::AgencyKind;

use super::{Village, id};

/// An agency's full extract of one feed.
#[derive(Clone)]
pub(crate) struct Extract {
    /// Whose.
    pub(crate) kind: AgencyKind,
    /// Which feed.
    pub(crate) feed: String,
    header: String,
    /// What is in it, a line each.
    pub(crate) rows: Vec<String>,
    name: String,
}

impl Extract {
    /// Reads what the agency took in at first.
    pub(crate) fn of(village: &Village, kind: AgencyKind, feed: &str) -> anyhow::Result<Self> {
        let agency = &village.town.nodes()[village.place(kind)].agency;
        let file = agency.feeds.iter().find(|of| of.id == feed).context("it has that feed")?;
        let text = fs::read_to_string(&file.file)?;
        let mut lines = text.lines().map(str::to_owned);
        let header = lines.next().context("a header")?;
        let rows = lines.collect();
        Ok(Self { kind, feed: feed.into(), header, rows, name: "first".into() })
    }

    /// The same as another file.
    pub(crate) fn renamed(&self, name: &str) -> Self {
        Self { name: name.replace(' ', "-"), ..self.clone() }
    }

    /// Takes it in at its agency.
    pub(crate) fn take_in(&self, village: &Village) -> anyhow::Result<()> {
        let file: PathBuf =
            village.scratch().join(format!("{}-{}-{}.csv", self.kind, self.feed, self.name));
        fs::write(&file, format!("{}\n{}\n", self.header, self.rows.join("\n")))?;
        village.town.ingest_file(&id(self.kind), &self.feed, &file).map(|_| ())
    }
}
