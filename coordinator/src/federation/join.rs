//! What a node has to bring to take part in a sweep, and how one that was left out joins it late.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_proto::{
    ids::Handle,
    kind::{MatchKeyKind, RECIPE},
    sweep::{Opened, Opening},
    token::PersonFlags,
};
use tokio::{sync::mpsc, time::sleep};

use super::{
    Member, Problem,
    stream::{self, Piece},
};
use crate::link::rekey::Rekey;

/// The linkage key that most nodes hold. A custodian that handed out different keys, or a node that
/// missed the last epoch, shows here.
pub fn agreed_key<'a>(opened: impl Iterator<Item = &'a Opened>) -> Option<[u8; 32]> {
    let mut counts: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    for opened in opened {
        *counts.entry(opened.key_commit).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(commit, _)| commit)
}

/// Checks that what a node brings can be joined with the others'. `commit` is the key that they hold,
/// and `most` how many records one node may bring.
pub fn fits(
    member: &Member,
    opened: Opened,
    commit: Option<[u8; 32]>,
    most: u64,
) -> Result<Opened, Problem> {
    if opened.recipe != RECIPE {
        let theirs = opened.recipe;
        return Err(Problem::Broke(format!("it follows match-key recipe {theirs}, not {RECIPE}")));
    }
    if opened.kind != member.kind {
        let (says, enrolled) = (opened.kind, member.kind);
        return Err(Problem::Broke(format!(
            "it says that it is {says} and is enrolled as {enrolled}"
        )));
    }
    if Some(opened.key_commit) != commit {
        let epoch = opened.key_epoch;
        return Err(Problem::Broke(format!(
            "it holds another linkage key than most (epoch {epoch}): compare the safety numbers"
        )));
    }
    if opened.records > most {
        let brings = opened.records;
        return Err(Problem::Broke(format!("it brings {brings} records; {most} are allowed")));
    }
    Ok(opened)
}

/// What a node brings that joins late.
pub struct Joined {
    /// What it says of itself.
    pub opened: Opened,
    /// By row: what it calls its people.
    pub handles: Vec<Handle>,
    /// By row: what it says of them.
    pub flags: Vec<PersonFlags>,
    /// By kind: every row's re-keyed tokens.
    pub columns: Vec<Vec<u64>>,
}

/// A node that was left out of an open sweep.
pub struct Joining {
    /// Who.
    pub member: Member,
    /// The sweep.
    pub opening: Opening,
    /// The linkage key that the others hold.
    pub commit: Option<[u8; 32]>,
    /// How many records one node may bring.
    pub most_records: u64,
    /// The sweep's key.
    pub rekey: Arc<Rekey>,
    /// How long one call may take, and how long to wait for a stream that broke.
    pub deadlines: (Duration, Duration),
    /// How long to wait before it is asked again.
    pub pause: Duration,
}

impl Joining {
    /// Asks the node again and again until it brings everything.
    pub async fn join(self) -> Joined {
        loop {
            sleep(self.pause).await;
            match self.ask().await {
                Ok(joined) => return joined,
                Err(problem) => {
                    tracing::debug!(agency.id = %self.member.id, %problem, "still without a node");
                }
            }
        }
    }

    async fn ask(&self) -> Result<Joined, Problem> {
        let (call, patience) = self.deadlines;
        let client = self.member.client(call);
        let opened = client.open(self.opening.clone()).await?;
        let opened = fits(&self.member, opened, self.commit, self.most_records)?;
        let (out, mut pieces) = mpsc::channel(1);
        let (sweep, rows) = (self.opening.sweep, opened.records);
        let following = stream::follow(client, sweep, rows, patience, self.rekey.clone(), out);
        let mut joined =
            Joined { opened, handles: Vec::new(), flags: Vec::new(), columns: Vec::new() };
        let reading = async {
            while let Some(piece) = pieces.recv().await {
                match piece {
                    Piece::People(handles, flags) => {
                        (joined.handles, joined.flags) = (handles, flags)
                    }
                    Piece::Tokens(_, tokens) => joined.columns.push(tokens),
                    Piece::Failed(problem) => return Err(problem),
                }
            }
            Ok(())
        };
        let ((), read) = tokio::join!(following, reading);
        read?;
        match joined.columns.len() == MatchKeyKind::COUNT {
            true => Ok(joined),
            false => Err(Problem::Failed("its token stream broke off".into())),
        }
    }
}
