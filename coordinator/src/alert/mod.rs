//! The least each recipient needs: the only place where an [`Alert`] is made.
//!
//! What may be said of a signal is for the agency that recorded it: named, named by agency only, or
//! counted and not mentioned. A rule is named only where everything it rests on may be.

pub mod size;

use std::collections::BTreeMap;

use causeway_proto::{
    alert::{Alert, AlertChange, AlertLine, AlertRule, AlertSubject, Duty, Share, Tier},
    catalogue::{AgencyKind, SignalCode},
    day::Day,
    ids::{AgencyId, AlertId, Handle, LineId, SweepId},
    signal::Disclosure,
    sweep::Contact,
};

use crate::{
    route::{
        Reason, Recipient,
        surfacing::{Told, Why},
    },
    score::{
        FiredRule, Line, Model, Scored,
        explain::{self, Dates},
        model::Rule,
    },
};

/// Everything that is known of one subject, of which each recipient is told a part.
pub struct Case<'a> {
    /// The scoring model.
    pub model: &'a Model,
    /// The joined score.
    pub scored: &'a Scored,
    /// A person or a household.
    pub subject: AlertSubject,
    /// By code: the strictest wish of the agencies that recorded it.
    pub disclosures: &'a BTreeMap<SignalCode, Disclosure>,
    /// By code: when the latest event came in that had happened long before, of those whose days are
    /// told.
    pub late: &'a BTreeMap<SignalCode, Day>,
    /// Every agency that holds a record here, and whom to ring there.
    pub holders: &'a [Holder],
    /// The kind of agency that should lead and holds no record.
    pub absent_lead: Option<AgencyKind>,
    /// Whether that kind of agency may hold one: somebody of it could not be asked.
    pub lead_is_away: bool,
    /// Who is missing, stale or withholding, one sentence each.
    pub unknowns: &'a [String],
    /// Records that belong to the household by their address only.
    pub attached: usize,
    /// The weakest link that the case rests on, in bits.
    pub weakest_link: Option<f64>,
    /// By line of `scored`: its name in reviews.
    pub line_ids: &'a [LineId],
    /// Why this revision is issued.
    pub why: Why,
    /// What was told before.
    pub since: Option<&'a Told>,
}

/// An agency that holds a record of the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which.
    pub agency: AgencyId,
    /// What it is for.
    pub kind: AgencyKind,
    /// Whom to ring, where its policy says.
    pub contact: Option<Contact>,
}

/// Which revision for whom.
pub struct Envelope<'a> {
    /// The same in every revision and at every recipient.
    pub id: AlertId,
    /// Counts up from 1.
    pub revision: u32,
    /// What the revision does.
    pub change: AlertChange,
    /// The sweep in which the handles mean something.
    pub sweep: SweepId,
    /// Who is told, and why.
    pub recipient: &'a Recipient,
    /// The recipient's own records.
    pub handles: Vec<Handle>,
}

/// Signals that speak of domestic abuse: addresses are hidden by default beside them.
const DOMESTIC_ABUSE: [&str; 4] =
    ["POL_DA_STD", "POL_DA_HIGH", "NHS_DA_DISCLOSURE", "PRB_DA_RELEASE"];

/// What is said of a rule that rests on what may not be named.
const ADDS_UP: &str = "What several services hold adds up to more than each part";

/// What comes in more than so many days after it happened is late information. DOMAIN.md 5.3.
pub const LATE_DAYS: i32 = 7;

/// Evidence of a link below this, in bits, is worth a word: 1 in 1,000 such links is wrong.
const SURE_BITS: f64 = 10.0;

impl Case<'_> {
    /// Makes one recipient's alert.
    pub fn told(&self, envelope: Envelope<'_>) -> Alert {
        let Envelope { id, revision, change, sweep, recipient, handles } = envelope;
        Alert {
            id,
            revision,
            change,
            sweep,
            handles,
            subject: self.subject,
            tier: self.scored.tier,
            duty: recipient.duty,
            news: self.news(change),
            lines: self.lines(),
            rules: self.scored.rules.iter().map(|rule| self.rule(rule)).collect(),
            involved: self.involved(recipient),
            unknowns: self.unknowns.to_vec(),
            question: self.question(recipient),
            limits: limits(self.scored.as_at),
            as_at: self.scored.as_at,
            model_version: self.scored.model.clone(),
            link_confidence: self.link_confidence(),
            hide_address: self.hides_address(),
        }
    }

    fn disclosure(&self, code: SignalCode) -> Disclosure {
        // What nobody released cannot be in a line; if it is, the strictest holds.
        self.disclosures.get(&code).copied().unwrap_or(Disclosure::Counted)
    }

    fn may_name(&self, code: SignalCode) -> bool {
        self.disclosure(code) == Disclosure::Named
    }

    /// Addresses are hidden beside domestic abuse, and beside anything that may not be named: that an address
    /// is hidden must not say what is not said.
    fn hides_address(&self) -> bool {
        let hides = |line: &Line| is_domestic_abuse(line) || !self.may_name(line.code);
        self.scored.lines.iter().any(hides)
    }

    fn lines(&self) -> Vec<AlertLine> {
        let lines = self.scored.lines.iter().zip(self.line_ids);
        lines.filter_map(|(line, id)| self.line(line, *id)).collect()
    }

    fn line(&self, line: &Line, id: LineId) -> Option<AlertLine> {
        let (sentence, count, latest_month) = match self.disclosure(line.code) {
            Disclosure::Named => (
                explain::line_by_month(self.model, line),
                u32::try_from(line.times).unwrap_or(u32::MAX),
                Some(line.latest.first_of_month()),
            ),
            Disclosure::AgencyOnly => {
                let by = line.kind.in_words();
                (format!("Something relevant is held by {by}; ask them"), 0, None)
            }
            Disclosure::Counted => return None,
        };
        Some(AlertLine {
            agency: line.reporters.first()?.parse().ok()?,
            kind: line.kind,
            sentence,
            count,
            latest_month,
            share: line.share,
            line: id,
        })
    }

    fn rule(&self, rule: &FiredRule) -> AlertRule {
        let may_name =
            |spec: &&Rule| self.scored.behind(self.model, spec).all(|code| self.may_name(code));
        let (id, sentence) = match self.model.rule(&rule.id).filter(may_name) {
            Some(spec) => {
                let (signal, since) = (rule.signal, rule.since);
                let fill = explain::fill;
                let sentence = fill(self.model, &spec.sentence, signal, since, Dates::Months);
                (rule.id.clone(), sentence)
            }
            None => (String::new(), ADDS_UP.to_owned()),
        };
        AlertRule { id, sentence, share: rule.share }
    }

    /// What is new: whatever happened since it was told, as far as it may be said.
    fn news(&self, change: AlertChange) -> Vec<String> {
        let fixed = match (change, self.why) {
            (AlertChange::Cancel, _) => Some(WITHDRAWN),
            (_, Why::Withdrawn) => {
                Some("Some of what was told has fallen away: this is what is left")
            }
            (_, Why::Unanswered) => Some("Nobody has answered this yet"),
            (_, Why::WasAway) => Some("Others were told of this when you could not be reached"),
            _ => None,
        };
        if let Some(fixed) = fixed {
            return vec![fixed.to_owned()];
        }
        let named = |line: &&Line| self.may_name(line.code);
        let is_new = |line: &&Line| {
            self.since.is_some_and(|told| {
                let before = told.basis.counts.get(&line.code).copied().unwrap_or(0);
                line.latest > told.day || line.count > before
            }) || self.is_late_news(line.code)
        };
        let words = |line: &Line| {
            let sentence = explain::line_by_month(self.model, line);
            match self.late.get(&line.code).filter(|_| self.is_late_news(line.code)) {
                Some(came) => {
                    let month = came.month_in_words();
                    format!("Late information, received in {month}: {sentence}")
                }
                None => sentence,
            }
        };
        let mut news: Vec<String> =
            self.scored.lines.iter().filter(named).filter(is_new).map(words).collect();
        let known = |rule: &FiredRule| self.since.is_none_or(|told| told.rules.contains(&rule.id));
        let rules = self.scored.rules.iter().filter(|rule| !known(rule));
        news.extend(rules.map(|rule| self.rule(rule).sentence));
        if news.is_empty() {
            let latest = self.scored.lines.iter().filter(named).max_by_key(|line| line.latest);
            news.extend(latest.map(words));
        }
        news
    }

    /// Returns whether something came in late, and since it was told, or else in the last days.
    fn is_late_news(&self, code: SignalCode) -> bool {
        self.late.get(&code).is_some_and(|came| match self.since {
            Some(told) => *came > told.day,
            None => self.scored.as_at.since(*came) <= LATE_DAYS,
        })
    }

    /// Everybody else who is mentioned, or who wants to be rung.
    fn involved(&self, recipient: &Recipient) -> Vec<causeway_proto::alert::Involvement> {
        let mentioned = |holder: &Holder| {
            self.scored.lines.iter().any(|line| {
                self.disclosure(line.code) != Disclosure::Counted
                    && line.reporters.iter().any(|agency| **agency == *holder.agency.as_str())
            })
        };
        self.holders
            .iter()
            .filter(|holder| holder.agency.as_str() != &*recipient.agency)
            .filter(|holder| holder.contact.is_some() || mentioned(holder))
            .map(|holder| causeway_proto::alert::Involvement {
                agency: holder.agency.clone(),
                kind: holder.kind,
                contact: holder.contact.clone(),
            })
            .collect()
    }

    /// The most pressing question that tells of nothing but what may be named.
    fn question(&self, recipient: &Recipient) -> String {
        let may_ask = |reason: &&Reason| reason.rests_on.iter().all(|code| self.may_name(*code));
        let mut asked = recipient.reasons.iter().filter(may_ask);
        let question = asked.find_map(|reason| reason.question.as_ref());
        let question = question.unwrap_or(&recipient.question);
        let absent = self.absent_lead.filter(|_| recipient.duty == Duty::Lead);
        match absent {
            Some(kind) => {
                let kind = kind.in_words();
                let why = match self.lead_is_away {
                    true => "could not be asked for this",
                    false => "holds no record here",
                };
                format!("{question} Does {kind}, which {why}, know?")
            }
            None => question.clone(),
        }
    }

    fn link_confidence(&self) -> String {
        let linked = match self.weakest_link {
            None => "No records had to be linked across agencies.",
            Some(bits) if bits >= SURE_BITS => "Records of different agencies agree well.",
            Some(_) => "Some records of different agencies agree only in part.",
        };
        match self.attached {
            0 => linked.to_owned(),
            1 => format!("{linked} One record belongs to the home by its address only."),
            several => format!("{linked} {several} records belong to the home by address only."),
        }
    }
}

fn is_domestic_abuse(line: &Line) -> bool {
    DOMESTIC_ABUSE.contains(&line.code.as_str())
}

const WITHDRAWN: &str = "The facts behind this alert have fallen away";

/// Makes what withdraws an alert. It says nothing of what was told: that was wrong, or is not known
/// any more. It needs no handle, since the node knows which of its records the alert was about.
pub fn withdrawal(
    (id, revision, sweep): (AlertId, u32, SweepId),
    (subject, tier, as_at): (AlertSubject, Tier, Day),
    model: &str,
) -> Alert {
    Alert {
        id,
        revision,
        change: AlertChange::Cancel,
        sweep,
        handles: Vec::new(),
        subject,
        tier,
        duty: Duty::Inform,
        news: vec![WITHDRAWN.to_owned()],
        lines: Vec::new(),
        rules: Vec::new(),
        involved: Vec::new(),
        unknowns: Vec::new(),
        question: "Does anything you did rest on this alert alone?".to_owned(),
        limits: limits(as_at),
        as_at,
        model_version: model.to_owned(),
        link_confidence: "This alert is withdrawn.".to_owned(),
        hide_address: true,
    }
}

/// What an alert is not, on every alert. DOMAIN.md 7.1.
fn limits(as_at: Day) -> String {
    format!(
        "Not proof. Not a threshold decision. Based on records up to {}. Immediate danger: call 999.",
        as_at.in_words()
    )
}

/// Returns the share of a whole in words, for people.
pub fn in_words(share: Share) -> &'static str {
    match share {
        Share::Minor => "a small part",
        Share::Moderate => "a considerable part",
        Share::Major => "a large part",
    }
}

#[cfg(test)]
mod tests;
