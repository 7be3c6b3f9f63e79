//! One risk signal, as far as the agency's policy releases it.

use crate::{
    catalogue::SignalCode,
    day::Day,
    ids::EventKey,
    pb,
    wire::{WireError, wire_enum},
};

wire_enum! {
    /// How far the recipient of an alert may be told about a signal.
    Disclosure, "disclosure" {
        /// The sentence, the agency, how many and the latest month.
        Named = "named",
        /// Only that this agency holds something relevant.
        AgencyOnly = "agency_only",
        /// It counts, and nothing is said.
        Counted = "counted",
    }
}

/// One thing that happened to a person, or holds for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// What.
    pub code: SignalCode,
    /// Since when.
    pub start: Day,
    /// Until when; `None` while it lasts, and for what has no end.
    pub end: Option<Day>,
    /// Which source event: counted once in a household.
    pub event: EventKey,
    /// How sure the agency is of its own record, in thousandths.
    pub confidence_permille: u16,
    /// How far it may be told.
    pub disclosure: Disclosure,
    /// When the agency learnt of it, where that was later.
    pub arrived: Option<Day>,
    /// Other agencies may have the same source event under the same key.
    pub shared: bool,
    /// The last day on which it is told for certain, unless it is withdrawn; `None` where it does not
    /// grow old.
    pub told_until: Option<Day>,
}

// === wire ===

impl From<Signal> for pb::Signal {
    fn from(signal: Signal) -> Self {
        Self {
            code: signal.code.to_wire(),
            start_day: signal.start.number(),
            end_day: signal.end.map(Day::number),
            event_key: signal.event.as_bytes().to_vec(),
            confidence_permille: signal.confidence_permille.into(),
            disclosure: signal.disclosure.to_wire(),
            arrived_day: signal.arrived.map(Day::number),
            shared_event: signal.shared,
            told_until_day: signal.told_until.map(Day::number),
        }
    }
}

impl TryFrom<pb::Signal> for Signal {
    type Error = WireError;

    fn try_from(signal: pb::Signal) -> Result<Self, WireError> {
        let confidence = u16::try_from(signal.confidence_permille).ok().filter(|c| *c <= 1000);
        Ok(Self {
            code: SignalCode::from_wire(signal.code)?,
            start: Day::from_wire("start_day", signal.start_day)?,
            end: signal.end_day.map(|day| Day::from_wire("end_day", day)).transpose()?,
            event: EventKey::from_wire("event_key", &signal.event_key)?,
            confidence_permille: confidence.ok_or(WireError::Invalid {
                field: "confidence_permille",
                rule: "between 0 and 1000",
            })?,
            disclosure: Disclosure::from_wire(signal.disclosure)?,
            arrived: signal
                .arrived_day
                .map(|day| Day::from_wire("arrived_day", day))
                .transpose()?,
            shared: signal.shared_event,
            told_until: signal
                .told_until_day
                .map(|day| Day::from_wire("told_until_day", day))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_survive_the_wire_and_certainty_has_a_limit() {
        let signal = Signal {
            code: "POL_ASB_VICTIM".parse().unwrap(),
            start: Day::new(2025, 2, 19).unwrap(),
            end: None,
            event: EventKey::from_bytes([9; 16]),
            confidence_permille: 600,
            disclosure: Disclosure::Named,
            arrived: Day::new(2025, 3, 12),
            shared: true,
            told_until: Day::new(2027, 2, 19),
        };
        let wire = pb::Signal::from(signal.clone());
        assert_eq!(Signal::try_from(wire.clone()), Ok(signal));
        let refused = Signal::try_from(pb::Signal { confidence_permille: 1001, ..wire });
        assert_eq!(
            refused.unwrap_err().to_string(),
            "`confidence_permille` should be between 0 and 1000"
        );
    }
}
