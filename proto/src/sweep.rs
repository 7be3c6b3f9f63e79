//! Opening a sweep: what the coordinator says it wants, and what a node says it has.

use crate::{
    catalogue::{AgencyKind, Purpose, SignalCode},
    day::Day,
    ids::{Handle, MemoId, SweepId},
    limits::{CONTACT_CHARS, FEEDS},
    pb, text,
    wire::{self, WireError, wire_enum},
};

/// The highest score, in tenths.
pub(crate) const MOST_TENTHS: u32 = 1000;

/// What a coordinator opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Which sweep.
    pub sweep: SweepId,
    /// Why; never empty.
    pub purposes: Vec<Purpose>,
    /// The scoring model that will be used.
    pub model_version: String,
    /// The day the scores will speak of.
    pub as_at: Day,
}

/// What a node brings into a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The match-key recipe it follows.
    pub recipe: u16,
    /// Which linkage key it holds.
    pub key_epoch: u64,
    /// A commitment to that key.
    pub key_commit: [u8; 32],
    /// Rows its token stream will have.
    pub records: u64,
    /// Where its changes begin.
    pub position: u64,
    /// What it is for.
    pub kind: AgencyKind,
    /// How fresh its exports are.
    pub feeds: Vec<Feed>,
    /// What it kept for earlier findings.
    pub memos: Vec<Memo>,
    /// Whom a colleague can ring.
    pub contact: Option<Contact>,
    /// Why the contact that it sent is not among this, if it sent one that nobody should be shown.
    pub no_contact: Option<WireError>,
    /// Codes of its own that policy does not release.
    pub withheld: Vec<SignalCode>,
    /// How it spells names, dates and addresses before it hashes them.
    pub spelling: u32,
}

/// How fresh one export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its short name at the agency.
    pub id: String,
    /// The day of the last good export.
    pub as_at: Option<Day>,
    /// Older than the agency itself allows.
    pub stale: bool,
}

wire_enum! {
    /// What a memo is about.
    MemoKind, "kind" {
        /// The record is a subject of this alert.
        Alert = "alert",
        /// Records with the same such id must never be linked again.
        NotLinked = "not_linked",
        /// A professional reviewed this alert.
        Reviewed = "reviewed",
    }
}

/// A finding that a node kept with its own record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memo {
    /// What it is about.
    pub kind: MemoKind,
    /// Which finding.
    pub id: MemoId,
    /// The record, as it is called in this sweep.
    pub handle: Handle,
    /// The score at review, in tenths.
    pub score_tenths: u32,
    /// When it was made.
    pub made: Day,
}

/// A desk to ring. Each part is one line of at most [`CONTACT_CHARS`] characters once it came over the
/// wire or out of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Such as `Adult safeguarding duty desk`.
    pub service: String,
    /// Such as `duty social worker`.
    pub role: String,
    /// Such as a switchboard number.
    pub phone: String,
}

impl Contact {
    /// Checks that everybody can be shown it.
    ///
    /// # Errors
    /// Refuses a part that is too long, or that is not one line of plain text. Half a name or a number
    /// with a part cut off would have somebody ring the wrong desk.
    pub fn check(self) -> Result<Self, WireError> {
        const _: () = assert!(CONTACT_CHARS == 200, "the rule says so");
        let rule = (CONTACT_CHARS, "one line of at most 200 characters");
        text::check("contact.service", &self.service, rule)?;
        text::check("contact.role", &self.role, rule)?;
        text::check("contact.phone", &self.phone, rule)?;
        Ok(self)
    }
}

// === wire ===

impl From<Opening> for pb::OpenSweepRequest {
    fn from(opening: Opening) -> Self {
        Self {
            sweep_id: opening.sweep.as_bytes().to_vec(),
            purposes: opening.purposes.into_iter().map(Purpose::to_wire).collect(),
            model_version: opening.model_version,
            as_at_day: opening.as_at.number(),
        }
    }
}

impl TryFrom<pb::OpenSweepRequest> for Opening {
    type Error = WireError;

    fn try_from(request: pb::OpenSweepRequest) -> Result<Self, WireError> {
        let purposes: Vec<Purpose> =
            request.purposes.into_iter().map(Purpose::from_wire).collect::<Result<_, _>>()?;
        if purposes.is_empty() {
            return Err(WireError::Missing("purposes"));
        }
        if request.model_version.len() > 64 {
            return Err(WireError::Invalid { field: "model_version", rule: "at most 64 bytes" });
        }
        let rule = (64, "one line of plain text");
        text::check("model_version", &request.model_version, rule)?;
        Ok(Self {
            sweep: SweepId::from_wire("sweep_id", &request.sweep_id)?,
            purposes,
            model_version: request.model_version,
            as_at: Day::from_wire("as_at_day", request.as_at_day)?,
        })
    }
}

impl From<Opened> for pb::OpenSweepResponse {
    fn from(opened: Opened) -> Self {
        Self {
            recipe: opened.recipe.into(),
            key_epoch: opened.key_epoch,
            key_commit: opened.key_commit.to_vec(),
            records: opened.records,
            position: opened.position,
            kind: opened.kind.to_wire(),
            feeds: opened.feeds.into_iter().map(Into::into).collect(),
            memos: opened.memos.into_iter().map(Into::into).collect(),
            contact: opened.contact.map(Into::into),
            withheld: opened.withheld.into_iter().map(SignalCode::to_wire).collect(),
            spelling: opened.spelling,
        }
    }
}

impl TryFrom<pb::OpenSweepResponse> for Opened {
    type Error = WireError;

    fn try_from(response: pb::OpenSweepResponse) -> Result<Self, WireError> {
        let recipe = u16::try_from(response.recipe)
            .map_err(|_| WireError::Invalid { field: "recipe", rule: "a number below 65536" })?;
        // An agency is worth more than whom to ring there.
        let (contact, no_contact) = match response.contact.map(Contact::try_from) {
            Some(Ok(contact)) => (Some(contact), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        Ok(Self {
            recipe,
            key_epoch: response.key_epoch,
            key_commit: wire::fixed("key_commit", &response.key_commit)?,
            records: response.records,
            position: response.position,
            kind: AgencyKind::from_wire(response.kind)?,
            feeds: feeds(response.feeds)?,
            memos: response.memos.into_iter().map(Memo::try_from).collect::<Result<_, _>>()?,
            contact,
            no_contact,
            withheld: response
                .withheld
                .into_iter()
                .map(SignalCode::from_wire)
                .collect::<Result<_, _>>()?,
            spelling: response.spelling,
        })
    }
}

/// Reads what an agency tells of its feeds: of no more than there may be.
pub(crate) fn feeds(feeds: Vec<pb::Feed>) -> Result<Vec<Feed>, WireError> {
    const _: () = assert!(FEEDS == 256, "the rule says so");
    if feeds.len() > FEEDS {
        return Err(WireError::Invalid { field: "feeds", rule: "at most 256" });
    }
    feeds.into_iter().map(Feed::try_from).collect()
}

impl From<Feed> for pb::Feed {
    fn from(feed: Feed) -> Self {
        Self { id: feed.id, as_at_day: feed.as_at.map(Day::number), stale: feed.stale }
    }
}

impl TryFrom<pb::Feed> for Feed {
    type Error = WireError;

    fn try_from(feed: pb::Feed) -> Result<Self, WireError> {
        let as_at = feed.as_at_day.map(|day| Day::from_wire("as_at_day", day)).transpose()?;
        Ok(Self { id: text::plain(feed.id, text::NAME_CHARS), as_at, stale: feed.stale })
    }
}

impl From<Memo> for pb::Memo {
    fn from(memo: Memo) -> Self {
        Self {
            kind: memo.kind.to_wire(),
            memo_id: memo.id.as_bytes().to_vec(),
            handle: memo.handle.as_bytes().to_vec(),
            score_tenths: memo.score_tenths,
            made_day: memo.made.number(),
        }
    }
}

impl TryFrom<pb::Memo> for Memo {
    type Error = WireError;

    fn try_from(memo: pb::Memo) -> Result<Self, WireError> {
        Ok(Self {
            kind: MemoKind::from_wire(memo.kind)?,
            id: MemoId::from_wire("memo_id", &memo.memo_id)?,
            handle: Handle::from_wire("handle", &memo.handle)?,
            // Worth more than its score, where a node kept an odd one.
            score_tenths: memo.score_tenths.min(MOST_TENTHS),
            made: Day::from_wire("made_day", memo.made_day)?,
        })
    }
}

impl From<Contact> for pb::Contact {
    fn from(contact: Contact) -> Self {
        Self { service: contact.service, role: contact.role, phone: contact.phone }
    }
}

impl TryFrom<pb::Contact> for Contact {
    type Error = WireError;

    fn try_from(contact: pb::Contact) -> Result<Self, WireError> {
        Self { service: contact.service, role: contact.role, phone: contact.phone }.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_needs_a_purpose() {
        let opening = Opening {
            sweep: SweepId::new(1, [2; 8]),
            purposes: vec![Purpose::AdultSafeguarding],
            model_version: "causeway-1".into(),
            as_at: Day::new(2025, 2, 25).unwrap(),
        };
        let wire = pb::OpenSweepRequest::from(opening.clone());
        assert_eq!(Opening::try_from(wire.clone()), Ok(opening));
        let aimless = pb::OpenSweepRequest { purposes: vec![], ..wire };
        assert_eq!(Opening::try_from(aimless), Err(WireError::Missing("purposes")));
    }

    #[test]
    fn what_a_node_brings_survives_the_wire() {
        let opened = Opened {
            recipe: 1,
            key_epoch: 7,
            key_commit: [3; 32],
            records: 2,
            position: 9,
            kind: AgencyKind::Fire,
            feeds: vec![Feed { id: "visits".into(), as_at: Day::new(2025, 2, 24), stale: true }],
            memos: vec![Memo {
                kind: MemoKind::Alert,
                id: MemoId::from_bytes([4; 16]),
                handle: Handle::from_bytes([5; 16]),
                score_tenths: 736,
                made: Day::new(2025, 2, 20).unwrap(),
            }],
            contact: Some(Contact::default()),
            no_contact: None,
            withheld: vec!["NHS_LOW_MOOD_SEVERE".parse().unwrap()],
            spelling: 8,
        };
        let wire = pb::OpenSweepResponse::from(opened.clone());
        assert_eq!(Opened::try_from(wire.clone()), Ok(opened));

        let long = pb::Contact { phone: "é".repeat(200), ..pb::Contact::default() };
        let read = |contact| Opened::try_from(pb::OpenSweepResponse { contact, ..wire.clone() });
        assert!(read(Some(long.clone())).unwrap().contact.is_some());
        let longer = pb::Contact { phone: "é".repeat(201), ..long.clone() };
        let forged = pb::Contact { role: "duty\n999".into(), ..long };
        for (bad, field) in [(longer, "contact.phone"), (forged, "contact.role")] {
            let opened = read(Some(bad)).unwrap();
            assert_eq!((opened.contact, opened.records), (None, 2), "it takes part all the same");
            assert!(opened.no_contact.unwrap().to_string().contains(field));
        }
    }
}
