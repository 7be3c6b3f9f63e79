//! What happens at a node while a sweep is open, as the coordinator follows it.

use std::fmt;

use crate::{
    ids::{Handle, SweepId},
    kind::MatchKeyKind,
    limits::TOKEN_BYTES,
    pb::{self, watch_changes_response},
    sweep::{self, Feed, MOST_TENTHS, Memo},
    token::PersonFlags,
    wire::{self, WireError},
};

/// Memos that one request may hold.
pub const MEMOS_PER_REQUEST: usize = 4096;

/// Memos that somebody who comes while a sweep is open may bring: a node keeps 64 with one person, and more only
/// where several became one.
pub const MEMOS_PER_PERSON: usize = 256;

/// One step of the change stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where a resumed stream goes on; never goes down.
    pub position: u64,
    /// What happened.
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody is new to the sweep, or has other match-keys.
    Upsert(Upsert),
    /// Somebody is gone from the sweep.
    Retraction(Handle),
    /// Flags, homes or signals of somebody changed: ask again.
    Facts(Handle, PersonFlags),
    /// How fresh every export is now.
    Feeds(Vec<Feed>),
    /// Everything so far has been sent.
    CaughtUp,
}

/// Somebody with all their match-keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Upsert {
    /// What the node calls them from now on.
    pub handle: Handle,
    /// What it called them before; may be the same.
    pub replaces: Option<Handle>,
    /// What the stream says of them.
    pub flags: PersonFlags,
    /// Packed tokens, one entry a kind, in the order of [`MatchKeyKind::ALL`]; `slots` tokens each.
    pub tokens: Vec<Vec<u8>>,
    /// What the node kept for earlier findings.
    pub memos: Vec<Memo>,
}

impl fmt::Debug for Upsert {
    /// Shows no token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upsert")
            .field("handle", &self.handle)
            .field("replaces", &self.replaces)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// Findings that a node shall keep with its own records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToKeep {
    /// The sweep whose handles the memos use.
    pub sweep: SweepId,
    /// At most [`MEMOS_PER_REQUEST`].
    pub memos: Vec<Memo>,
}

// === wire ===

impl From<Step> for pb::WatchChangesResponse {
    fn from(Step { position, change }: Step) -> Self {
        use watch_changes_response::Change as C;
        let handle = |handle: Handle| handle.as_bytes().to_vec();
        let change = match change {
            Change::Upsert(upsert) => C::Upsert(upsert.into()),
            Change::Retraction(gone) => {
                C::Retraction(pb::PersonRetraction { handle: handle(gone) })
            }
            Change::Facts(of, flags) => {
                C::Facts(pb::FactsChanged { handle: handle(of), flags: flags.0.into() })
            }
            Change::Feeds(feeds) => {
                C::Feeds(pb::FeedsChanged { feeds: feeds.into_iter().map(Into::into).collect() })
            }
            Change::CaughtUp => C::CaughtUp(pb::CaughtUp {}),
        };
        Self { position, change: Some(change) }
    }
}

impl TryFrom<pb::WatchChangesResponse> for Step {
    type Error = WireError;

    fn try_from(response: pb::WatchChangesResponse) -> Result<Self, WireError> {
        use watch_changes_response::Change as C;
        let change = match wire::required("change", response.change)? {
            C::Upsert(upsert) => Change::Upsert(upsert.try_into()?),
            C::Retraction(gone) => Change::Retraction(Handle::from_wire("handle", &gone.handle)?),
            C::Facts(facts) => {
                Change::Facts(Handle::from_wire("handle", &facts.handle)?, flags(facts.flags)?)
            }
            C::Feeds(changed) => Change::Feeds(sweep::feeds(changed.feeds)?),
            C::CaughtUp(pb::CaughtUp {}) => Change::CaughtUp,
        };
        Ok(Self { position: response.position, change })
    }
}

impl From<Upsert> for pb::PersonUpsert {
    fn from(upsert: Upsert) -> Self {
        let tokens = MatchKeyKind::ALL.iter().zip(upsert.tokens).map(|(kind, tokens)| pb::Tokens {
            kind: kind.to_wire(),
            slots: u32::try_from(kind.slots()).expect("few slots"),
            tokens: tokens.into(),
        });
        Self {
            handle: upsert.handle.as_bytes().to_vec(),
            replaces: upsert.replaces.map_or_else(Vec::new, |before| before.as_bytes().to_vec()),
            flags: upsert.flags.0.into(),
            tokens: tokens.collect(),
            memos: upsert.memos.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::PersonUpsert> for Upsert {
    type Error = WireError;

    fn try_from(upsert: pb::PersonUpsert) -> Result<Self, WireError> {
        let every_kind = WireError::Invalid { field: "tokens", rule: "every kind once, in order" };
        if upsert.tokens.len() != MatchKeyKind::COUNT {
            return Err(every_kind);
        }
        if upsert.memos.len() > MEMOS_PER_PERSON {
            return Err(WireError::Invalid { field: "memos", rule: "at most 256" });
        }
        let mut tokens = Vec::with_capacity(MatchKeyKind::COUNT);
        for (kind, column) in MatchKeyKind::ALL.iter().zip(upsert.tokens) {
            if MatchKeyKind::from_wire(column.kind)? != *kind {
                return Err(every_kind);
            }
            let (expected, actual) = (kind.slots() * TOKEN_BYTES, column.tokens.len());
            if actual != expected {
                return Err(WireError::Length { field: "tokens", expected, actual });
            }
            tokens.push(column.tokens.to_vec());
        }
        let replaces = match &upsert.replaces[..] {
            [] => None,
            before => Some(Handle::from_wire("replaces", before)?),
        };
        Ok(Self {
            handle: Handle::from_wire("handle", &upsert.handle)?,
            replaces,
            flags: flags(upsert.flags)?,
            tokens,
            memos: upsert.memos.into_iter().map(Memo::try_from).collect::<Result<_, _>>()?,
        })
    }
}

fn flags(flags: u32) -> Result<PersonFlags, WireError> {
    let flags =
        u8::try_from(flags).map_err(|_| WireError::Invalid { field: "flags", rule: "one byte" })?;
    Ok(PersonFlags(flags))
}

impl From<ToKeep> for pb::KeepMemosRequest {
    fn from(keep: ToKeep) -> Self {
        let memos = keep.memos.into_iter().map(Into::into).collect();
        Self { sweep_id: keep.sweep.as_bytes().to_vec(), memos }
    }
}

impl TryFrom<pb::KeepMemosRequest> for ToKeep {
    type Error = WireError;

    fn try_from(request: pb::KeepMemosRequest) -> Result<Self, WireError> {
        if request.memos.len() > MEMOS_PER_REQUEST {
            return Err(WireError::Invalid { field: "memos", rule: "at most 4096" });
        }
        if request.memos.iter().any(|memo| memo.score_tenths > MOST_TENTHS) {
            return Err(WireError::Invalid { field: "score_tenths", rule: "0 to 1000" });
        }
        Ok(Self {
            sweep: SweepId::from_wire("sweep_id", &request.sweep_id)?,
            memos: request.memos.into_iter().map(Memo::try_from).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{day::Day, ids::MemoId, limits::FEEDS, sweep::MemoKind};

    fn upsert() -> Upsert {
        Upsert {
            handle: Handle::from_bytes([2; 16]),
            replaces: Some(Handle::from_bytes([1; 16])),
            flags: PersonFlags(PersonFlags::HARM),
            tokens: MatchKeyKind::ALL.iter().map(|kind| vec![7; 8 * kind.slots()]).collect(),
            memos: vec![Memo {
                kind: MemoKind::NotLinked,
                id: MemoId::from_bytes([4; 16]),
                handle: Handle::from_bytes([2; 16]),
                score_tenths: 1,
                made: Day::new(2025, 2, 20).unwrap(),
            }],
        }
    }

    #[test]
    fn every_change_survives_the_wire() {
        let handle = Handle::from_bytes([3; 16]);
        let feed = Feed { id: "visits".into(), as_at: None, stale: true };
        let changes = [
            Change::Upsert(upsert()),
            Change::Retraction(handle),
            Change::Facts(handle, PersonFlags(5)),
            Change::Feeds(vec![feed]),
            Change::CaughtUp,
        ];
        for (position, change) in (1..).zip(changes) {
            let step = Step { position, change };
            assert_eq!(Step::try_from(pb::WatchChangesResponse::from(step.clone())), Ok(step));
        }
    }

    #[test]
    fn an_upsert_with_more_memos_than_a_person_has_is_refused() {
        let one = upsert().memos.remove(0);
        let with = |memos| {
            let upsert = Upsert { memos: vec![one.clone(); memos], ..upsert() };
            Upsert::try_from(pb::PersonUpsert::from(upsert)).is_ok()
        };
        assert_eq!([MEMOS_PER_PERSON, MEMOS_PER_PERSON + 1].map(with), [true, false]);
    }

    #[test]
    fn more_feeds_than_an_agency_has_are_refused() {
        let with = |feeds| {
            let feed = Feed { id: "visits".into(), as_at: None, stale: true };
            let step = Step { position: 1, change: Change::Feeds(vec![feed; feeds]) };
            Step::try_from(pb::WatchChangesResponse::from(step)).is_ok()
        };
        assert_eq!([FEEDS, FEEDS + 1].map(with), [true, false]);
    }

    #[test]
    fn a_finding_with_a_score_that_there_is_not_is_refused() {
        let keep = |score_tenths| {
            let memo = Memo { score_tenths, kind: MemoKind::Reviewed, ..upsert().memos.remove(0) };
            let request = ToKeep { sweep: SweepId::new(1, [0; 8]), memos: vec![memo] };
            ToKeep::try_from(pb::KeepMemosRequest::from(request))
        };
        assert!(keep(1000).is_ok());
        let refused = keep(5000).unwrap_err().to_string();
        assert_eq!(refused, "`score_tenths` should be 0 to 1000");
    }

    #[test]
    fn an_upsert_without_every_kind_is_refused_and_debug_shows_no_token() {
        let mut short = pb::PersonUpsert::from(upsert());
        short.tokens.swap(0, 1);
        assert!(Upsert::try_from(short.clone()).is_err());
        short.tokens.pop();
        assert!(Upsert::try_from(short).is_err());
        assert!(!format!("{:?}", upsert()).contains('7'));
    }
}
