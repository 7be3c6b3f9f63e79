//! One alert, as one recipient is told it.

use prost::Message;

use crate::{
    catalogue::AgencyKind,
    day::Day,
    ids::{AgencyId, AlertId, Handle, LineId, SweepId},
    limits::ALERT_BYTES,
    pb,
    sweep::Contact,
    text::{NAME_CHARS, SENTENCE_CHARS, plain},
    wire::{self, WireError, wire_enum},
};

wire_enum! {
    /// What a revision does.
    AlertChange, "change" {
        /// Nobody was told before.
        New = "new",
        /// Replaces what was told before.
        Update = "update",
        /// Withdraws what was told before.
        Cancel = "cancel",
    }
}

wire_enum! {
    /// Whom it is about.
    AlertSubject, "subject" {
        /// One person.
        Person = "person",
        /// People who share a home.
        Household = "household",
    }
}

wire_enum! {
    /// How high the joined score stands. Thresholds are in the model file.
    Tier, "tier" {
        /// Nothing to see.
        T0 = "T0",
        /// Some concern.
        T1 = "T1",
        /// Raised.
        T2 = "T2",
        /// High: surfaces.
        T3 = "T3",
        /// Highest: surfaces at once.
        T4 = "T4",
    }
}

wire_enum! {
    /// Why an agency is told.
    Duty, "duty" {
        /// It is asked to lead.
        Lead = "lead",
        /// It has a duty of care, and somebody else is asked to lead.
        Inform = "inform",
    }
}

wire_enum! {
    /// How much of the whole something is.
    Share, "share" {
        /// A small part.
        Minor = "minor",
        /// A considerable part.
        Moderate = "moderate",
        /// A large part.
        Major = "major",
    }
}

wire_enum! {
    /// What became of an alert.
    IssuedState, "state" {
        /// Nobody has answered yet.
        Open = "open",
        /// A professional answered.
        Reviewed = "reviewed",
        /// A recipient's own records show that somebody acts.
        ActionSeen = "action_seen",
        /// It faded by itself.
        Closed = "closed",
        /// What it said was taken back.
        Cancelled = "cancelled",
    }
}

/// A household or a person, in one recipient's own handles, and why somebody should look now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The same in every revision and at every recipient.
    pub id: AlertId,
    /// Counts up from 1.
    pub revision: u32,
    /// What this revision does.
    pub change: AlertChange,
    /// The sweep in which the handles mean something.
    pub sweep: SweepId,
    /// The recipient's own records of the people concerned.
    pub handles: Vec<Handle>,
    /// Whom it is about.
    pub subject: AlertSubject,
    /// How high.
    pub tier: Tier,
    /// Why the recipient is told.
    pub duty: Duty,
    /// What is new, one sentence each.
    pub news: Vec<String>,
    /// The reasons, strongest first.
    pub lines: Vec<AlertLine>,
    /// Rules over the joined view, strongest first.
    pub rules: Vec<AlertRule>,
    /// Who else is involved.
    pub involved: Vec<Involvement>,
    /// Who is missing, stale or withholding, one sentence each.
    pub unknowns: Vec<String>,
    /// What to ask oneself next.
    pub question: String,
    /// What this alert is not.
    pub limits: String,
    /// The day it speaks of.
    pub as_at: Day,
    /// The scoring model.
    pub model_version: String,
    /// How sure the links are, one sentence.
    pub link_confidence: String,
    /// Whether addresses should be hidden by default.
    pub hide_address: bool,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertLine {
    /// Which agency says so.
    pub agency: AgencyId,
    /// What that agency is for.
    pub kind: AgencyKind,
    /// In plain words.
    pub sentence: String,
    /// How many times; zero where it is not disclosed.
    pub count: u32,
    /// First day of the month of the latest, where disclosed.
    pub latest_month: Option<Day>,
    /// How much of the whole.
    pub share: Share,
    /// Names the line in a review.
    pub line: LineId,
}

/// One rule over the joined view that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRule {
    /// Such as `X01`.
    pub id: String,
    /// In plain words.
    pub sentence: String,
    /// How much of the whole.
    pub share: Share,
}

/// Somebody else who is involved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Involvement {
    /// Which agency.
    pub agency: AgencyId,
    /// What it is for.
    pub kind: AgencyKind,
    /// Whom to ring, where its policy says.
    pub contact: Option<Contact>,
}

// === wire ===

impl From<Alert> for pb::Alert {
    fn from(alert: Alert) -> Self {
        Self {
            alert_id: alert.id.as_bytes().to_vec(),
            revision: alert.revision,
            change: alert.change.to_wire(),
            sweep_id: alert.sweep.as_bytes().to_vec(),
            handles: alert.handles.iter().map(|handle| handle.as_bytes().to_vec()).collect(),
            subject: alert.subject.to_wire(),
            tier: alert.tier.to_wire(),
            duty: alert.duty.to_wire(),
            news: alert.news,
            lines: alert.lines.into_iter().map(Into::into).collect(),
            rules: alert.rules.into_iter().map(Into::into).collect(),
            involved: alert.involved.into_iter().map(Into::into).collect(),
            unknowns: alert.unknowns,
            question: alert.question,
            limits: alert.limits,
            as_at_day: alert.as_at.number(),
            model_version: alert.model_version,
            link_confidence: alert.link_confidence,
            hide_address: alert.hide_address,
        }
    }
}

impl TryFrom<pb::Alert> for Alert {
    type Error = WireError;

    fn try_from(alert: pb::Alert) -> Result<Self, WireError> {
        if alert.revision == 0 {
            return Err(WireError::Invalid { field: "revision", rule: "1 or more" });
        }
        Ok(Self {
            id: AlertId::from_wire("alert_id", &alert.alert_id)?,
            revision: alert.revision,
            change: AlertChange::from_wire(alert.change)?,
            sweep: SweepId::from_wire("sweep_id", &alert.sweep_id)?,
            handles: alert
                .handles
                .iter()
                .map(|handle| Handle::from_wire("handles", handle))
                .collect::<Result<_, _>>()?,
            subject: AlertSubject::from_wire(alert.subject)?,
            tier: Tier::from_wire(alert.tier)?,
            duty: Duty::from_wire(alert.duty)?,
            news: alert.news.into_iter().map(sentence).collect(),
            lines: alert.lines.into_iter().map(AlertLine::try_from).collect::<Result<_, _>>()?,
            rules: alert.rules.into_iter().map(AlertRule::try_from).collect::<Result<_, _>>()?,
            involved: alert
                .involved
                .into_iter()
                .map(Involvement::try_from)
                .collect::<Result<_, _>>()?,
            unknowns: alert.unknowns.into_iter().map(sentence).collect(),
            question: sentence(alert.question),
            limits: sentence(alert.limits),
            as_at: Day::from_wire("as_at_day", alert.as_at_day)?,
            model_version: plain(alert.model_version, NAME_CHARS),
            link_confidence: sentence(alert.link_confidence),
            hide_address: alert.hide_address,
        })
    }
}

impl From<AlertLine> for pb::AlertLine {
    fn from(line: AlertLine) -> Self {
        Self {
            agency: line.agency.into(),
            kind: line.kind.to_wire(),
            sentence: line.sentence,
            count: line.count,
            latest_month_day: line.latest_month.map(Day::number),
            share: line.share.to_wire(),
            line_id: line.line.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<pb::AlertLine> for AlertLine {
    type Error = WireError;

    fn try_from(line: pb::AlertLine) -> Result<Self, WireError> {
        let month = line.latest_month_day;
        Ok(Self {
            agency: agency(line.agency)?,
            kind: AgencyKind::from_wire(line.kind)?,
            sentence: sentence(line.sentence),
            count: line.count,
            latest_month: month.map(|day| Day::from_wire("latest_month_day", day)).transpose()?,
            share: Share::from_wire(line.share)?,
            line: LineId::from_wire("line_id", &line.line_id)?,
        })
    }
}

impl From<AlertRule> for pb::AlertRule {
    fn from(rule: AlertRule) -> Self {
        Self { id: rule.id, sentence: rule.sentence, share: rule.share.to_wire() }
    }
}

impl TryFrom<pb::AlertRule> for AlertRule {
    type Error = WireError;

    fn try_from(rule: pb::AlertRule) -> Result<Self, WireError> {
        Ok(Self {
            id: plain(rule.id, NAME_CHARS),
            sentence: sentence(rule.sentence),
            share: Share::from_wire(rule.share)?,
        })
    }
}

impl From<Involvement> for pb::Involvement {
    fn from(involvement: Involvement) -> Self {
        Self {
            agency: involvement.agency.into(),
            kind: involvement.kind.to_wire(),
            contact: involvement.contact.map(Into::into),
        }
    }
}

impl TryFrom<pb::Involvement> for Involvement {
    type Error = WireError;

    fn try_from(involvement: pb::Involvement) -> Result<Self, WireError> {
        Ok(Self {
            agency: agency(involvement.agency)?,
            kind: AgencyKind::from_wire(involvement.kind)?,
            // An alert is worth more than whom to ring.
            contact: involvement.contact.and_then(|contact| contact.try_into().ok()),
        })
    }
}

/// Reads an alert out of the request that carries it.
impl TryFrom<pb::DeliverAlertRequest> for Alert {
    type Error = WireError;

    fn try_from(request: pb::DeliverAlertRequest) -> Result<Self, WireError> {
        const _: () = assert!(ALERT_BYTES == 786_432, "the rule says so");
        let alert = wire::required("alert", request.alert)?;
        if alert.encoded_len() > ALERT_BYTES {
            return Err(WireError::Invalid { field: "alert", rule: "at most 786432 bytes" });
        }
        let alert = Self::try_from(alert)?;
        match alert.change {
            AlertChange::New | AlertChange::Update if alert.handles.is_empty() => {
                Err(WireError::Missing("handles"))
            }
            _ => Ok(alert),
        }
    }
}

/// Reads a sentence. An odd one is cleaned and not refused: whom an alert is about matters more.
fn sentence(text: String) -> String {
    plain(text, SENTENCE_CHARS)
}

fn agency(name: String) -> Result<AgencyId, WireError> {
    let rule = "an agency's short name";
    name.parse().map_err(|_| WireError::Invalid { field: "agency", rule })
}

#[cfg(test)]
mod tests;
