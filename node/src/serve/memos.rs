//! Findings that this node keeps for the coordinator: how many, for how long, and which it hands back.
//!
//! A finding is handed back under the handle of another sweep, and so joins the two for the person that
//! it is about. That is what it is for, where a household was told of. A coordinator that left one with
//! everybody would join all sweeps to one: so few people may carry one who carried none before.

use std::collections::{BTreeMap, HashMap};

use causeway_proto::{
    change::{MEMOS_PER_PERSON, ToKeep},
    ids::{Handle, SweepId},
    limits::MESSAGE_BYTES,
    pb, refusal,
    sweep::{Memo, MemoKind},
};
use sqlx::{Connection, SqliteConnection};
use tonic::{Code, Status};

use super::{Node, answer::Answer, session::Session, status};
use crate::store::{
    StoreError,
    memos::{self, KeptMemo, OfRow},
    records, sweeps,
};

/// So many people may come to carry a finding, or one in a hundred of the sweep if that is more. A
/// coordinator tells of some twenty households a week.
const MOST_PEOPLE: u64 = 200;
/// One in so many.
const ONE_IN: u64 = 100;
/// Counted over the sweep, and over so long.
const WINDOW_MS: u64 = 7 * 86_400_000;
/// Different findings about one person. A dispute leaves one for each of the others in a household.
const MOST_OF_ONE: u64 = 64;
/// Sweeps whose handles may still leave findings: a delivery may come late.
const RECENT_SWEEPS: u32 = 8;
/// How long findings about an alert that was taken back are kept: it may be disputed yet.
const TAKEN_BACK_MS: u64 = 60 * 86_400_000;

/// A finding and the people of ours it is about.
pub(super) struct Finding {
    /// What is kept; the record stands for each of theirs.
    pub(super) memo: Memo,
    /// Whose records keep it.
    pub(super) persons: Vec<i64>,
}

/// Why nothing is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// More people than this would carry one.
    People(u64),
    /// One person would carry more than [`MOST_OF_ONE`].
    OfOne,
}

impl Node {
    /// Keeps findings with every record of the person that each handle means.
    pub(super) async fn keep(
        &self,
        request: pb::KeepMemosRequest,
    ) -> Answer<pb::KeepMemosResponse> {
        let ToKeep { sweep, memos } = ToKeep::try_from(request)?;
        let session = self.any_session(sweep).await?;
        let handles: Vec<Handle> = memos.iter().map(|memo| memo.handle).collect();
        let rows = session.resolve(&handles).map_err(|_| super::unknown_handle())?;
        let count = memos.len() as u64;
        let mut tx = self.store.begin().await.map_err(status::store)?;
        let mut findings = Vec::with_capacity(memos.len());
        for (memo, row) in memos.into_iter().zip(rows) {
            let persons = self.whose(&mut tx, &[row]).await.map_err(status::store)?;
            findings.push(Finding { memo, persons });
        }
        match self.remember(&mut tx, &findings).await.map_err(status::store)? {
            Ok(()) => tx.commit().await.map_err(|error| status::store(error.into()))?,
            Err(too_many) => return Err(too_many.status()),
        }
        Ok((count, pb::KeepMemosResponse {}))
    }

    /// Keeps findings, all of them or none.
    pub(super) async fn remember(
        &self,
        conn: &mut SqliteConnection,
        findings: &[Finding],
    ) -> Result<Result<(), TooMany>, StoreError> {
        let now_ms = (self.now_ms)();
        let mut tx = conn.begin().await?;
        let Some((opened_ms, records)) = sweeps::last_opening(&mut tx).await? else {
            return Ok(Ok(()));
        };
        // In a trial, weeks pass in minutes.
        let week = if self.any_day { opened_ms } else { now_ms.saturating_sub(WINDOW_MS) };
        let since_ms = opened_ms.min(week);
        let before = memos::people_since(&mut tx, since_ms).await?;
        let mut grown = Vec::new();
        for Finding { memo, persons } in findings {
            let mut is_new = false;
            for record in records::of_persons(&mut tx, persons).await? {
                let kept = KeptMemo {
                    kind: memo.kind,
                    id: memo.id,
                    record: (record.feed, record.key),
                    score_tenths: memo.score_tenths,
                    made: memo.made,
                };
                is_new |= memos::put(&mut tx, &kept, now_ms).await?;
            }
            if is_new {
                grown.extend(persons);
            }
        }
        let most = MOST_PEOPLE.max(records / ONE_IN);
        let now = memos::people_since(&mut tx, since_ms).await?;
        let too_many = match () {
            () if now > most.max(before) => TooMany::People(most),
            () if memos::most_of_one(&mut tx, &grown).await? > MOST_OF_ONE => TooMany::OfOne,
            () => {
                tx.commit().await?;
                return Ok(Ok(()));
            }
        };
        tx.rollback().await?;
        tracing::error!(
            people = now,
            most,
            findings = findings.len(),
            "the coordinator leaves more findings than alerts explain: ask who runs it why"
        );
        Ok(Err(too_many))
    }

    /// Returns whether handles of a sweep may still leave findings.
    pub(super) async fn is_recent(
        &self,
        conn: &mut SqliteConnection,
        sweep: SweepId,
    ) -> Result<bool, StoreError> {
        Ok(sweeps::opened_since(conn, sweep).await?.is_some_and(|since| since < RECENT_SWEEPS))
    }

    /// Lets go of what is kept for an alert that was taken back, after a while.
    pub(super) async fn let_go(
        &self,
        conn: &mut SqliteConnection,
        alert: causeway_proto::ids::MemoId,
    ) -> Result<(), StoreError> {
        memos::let_go(conn, alert, (self.now_ms)() + TAKEN_BACK_MS).await
    }
}

impl TooMany {
    fn status(self) -> Status {
        let message = match self {
            Self::People(most) => format!(
                "the node keeps findings about {most} more people in a sweep and in a week, and these \
                 are about more: leave them with households that were told of"
            ),
            Self::OfOne => {
                format!("the node keeps at most {MOST_OF_ONE} different findings about one person")
            }
        };
        refusal::status(Code::ResourceExhausted, "TOO_MANY_MEMOS", message)
    }
}

/// What was kept with the people in a sweep, under the names they have in it: as much as fits into an
/// answer beside the rest of it.
pub(super) async fn handed_back(
    conn: &mut SqliteConnection,
    session: &Session,
    rest: usize,
) -> Result<Vec<Memo>, StoreError> {
    let mut all = memos::with_rows(conn).await?;
    all.retain(|of| session.standing(of.row).is_in());
    // Who is kept apart first, and of these the oldest; of the others the newest.
    all.sort_by_key(|of| match of.memo.kind {
        MemoKind::NotLinked => (0, of.kept_ms),
        MemoKind::Alert | MemoKind::Reviewed => (1, u64::MAX - of.until_ms.unwrap_or(u64::MAX)),
    });
    let (mut memos, mut left_out, mut bytes) = (Vec::new(), 0_u64, rest);
    for memo in once(all, session) {
        let field = 8;
        let more = prost::encoding::message::encoded_len(field, &pb::Memo::from(memo.clone()));
        match bytes + more <= MESSAGE_BYTES {
            true => (bytes += more, memos.push(memo)).1,
            false => left_out += 1,
        }
    }
    if left_out > 0 {
        tracing::error!(
            findings = left_out,
            "more findings are kept than a sweep can hand back; the oldest are left out"
        );
    }
    memos.sort_by_key(|memo| memo.handle);
    Ok(memos)
}

/// What was kept with the people of some rows, by row.
pub(super) async fn of_rows(
    conn: &mut SqliteConnection,
    session: &Session,
    rows: &[u64],
) -> Result<BTreeMap<u64, Vec<Memo>>, StoreError> {
    let mut by_row: BTreeMap<u64, Vec<OfRow>> = BTreeMap::new();
    for of in memos::of_rows(conn, rows).await? {
        by_row.entry(of.row).or_default().push(of);
    }
    let most = |(row, of)| {
        let mut memos = once(of, session);
        memos.truncate(MEMOS_PER_PERSON);
        (row, memos)
    };
    Ok(by_row.into_iter().map(most).collect())
}

/// Two records of one person may carry the same finding.
fn once(all: Vec<OfRow>, session: &Session) -> Vec<Memo> {
    let mut seen = HashMap::new();
    let mut memos = Vec::with_capacity(all.len());
    for OfRow { memo, row, .. } in all {
        if seen.insert((memo.kind.as_str(), *memo.id.as_bytes(), row), ()).is_none() {
            memos.push(Memo {
                kind: memo.kind,
                id: memo.id,
                handle: session.keys.own.handle(row),
                score_tenths: memo.score_tenths,
                made: memo.made,
            });
        }
    }
    memos
}
