//! The words that may be used of anybody: agencies, purposes and the 72 signals.
//!
//! What a signal weighs is no part of the contract: that is the coordinator's model file. What it
//! means, who owns it and whether it is harm, context or protection is.

use std::{fmt, str::FromStr};

use crate::{
    pb,
    wire::{UnknownName, WireError, wire_enum},
};

wire_enum! {
    /// What an agency is for. Duty of care and routing go by kind.
    AgencyKind, "kind" {
        /// Police forces.
        Police = "police",
        /// Landlords, homelessness and anti-social behaviour teams.
        Housing = "housing",
        /// Adult social care.
        AdultSocialCare = "adult_social_care",
        /// Children's social care.
        ChildrensSocialCare = "childrens_social_care",
        /// Schools and education welfare.
        Schools = "schools",
        /// Hospitals, general practice, ambulance and community health.
        Nhs = "nhs",
        /// Fire and rescue.
        Fire = "fire",
        /// Probation and youth justice.
        Probation = "probation",
        /// Benefits.
        Dwp = "dwp",
        /// Council tax and business rates.
        Revenues = "revenues",
    }
}

impl AgencyKind {
    /// Returns the name as it stands in a sentence.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Police => "police",
            Self::Housing => "housing",
            Self::AdultSocialCare => "adult social care",
            Self::ChildrensSocialCare => "children's social care",
            Self::Schools => "schools",
            Self::Nhs => "health",
            Self::Fire => "fire and rescue",
            Self::Probation => "probation",
            Self::Dwp => "the benefits office",
            Self::Revenues => "revenues",
        }
    }
}

wire_enum! {
    /// Why a coordinator asks.
    Purpose, "purposes" {
        /// Care Act 2014, sections 42 and 45.
        AdultSafeguarding = "adult_safeguarding",
        /// Children Act 1989, sections 17 and 47; Children Act 2004.
        ChildSafeguarding = "child_safeguarding",
        /// Crime and Disorder Act 1998, sections 17 and 115.
        AsbHate = "asb_hate",
        /// Digital Economy Act 2017, section 35.
        MultipleDisadvantage = "multiple_disadvantage",
    }
}

/// What a signal does to a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalClass {
    /// Evidence of harm, threat or concern. Scores.
    Harm,
    /// Makes harm matter more. Scores nothing; only enables interactions.
    Context,
    /// Protective or held. Never subtracts; changes timers.
    Protective,
}

/// How a signal ages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalSpan {
    /// Fades from its date.
    Event,
    /// Full while open, fades after its end.
    State,
}

/// What a new policy file proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReleaseDefault {
    /// Released.
    On,
    /// Released to a named purpose only.
    Restricted,
    /// Not released until the agency's guardian signs it off.
    Off,
}

/// One entry of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSpec {
    /// The name in files and JSON, such as `POL_ASB_VICTIM`.
    pub name: &'static str,
    /// The number on the wire.
    pub number: i32,
    /// Who records it; `None` for bands that any node derives from a date of birth.
    pub owner: Option<AgencyKind>,
    /// Harm, context or protective.
    pub class: SignalClass,
    /// How it ages.
    pub span: SignalSpan,
    /// What a new policy file proposes.
    pub release: ReleaseDefault,
    /// True when it is said of somebody who may do harm, and so never of a victim or a subject of
    /// care.
    pub of_suspect: bool,
    /// In plain words, at the beginning of a sentence.
    pub plain: &'static str,
}

/// One code of the catalogue. Always a valid one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalCode(u8);

impl SignalCode {
    /// Child under 1, derived.
    pub const CHILD_U1: Self = Self(72);
    /// Child of 1 to 4, derived.
    pub const CHILD_U5: Self = Self(73);
    /// Child of 5 to 17, derived.
    pub const CHILD_U18: Self = Self(74);

    /// Returns every code, in the order of the catalogue.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CATALOGUE.len()).map(|at| Self(u8::try_from(at).expect("the catalogue is short")))
    }

    /// Returns the catalogue's entry.
    pub const fn spec(self) -> &'static SignalSpec {
        &CATALOGUE[self.0 as usize]
    }

    /// Returns the name in files and JSON.
    pub const fn as_str(self) -> &'static str {
        self.spec().name
    }

    /// Returns whether its agency acts: somebody was followed up, or an enquiry or plan was opened. Seen
    /// after an alert, it closes it without typing.
    pub fn shows_action(self) -> bool {
        const OPENED: [&str; 4] = ["ASC_S42_ENQUIRY", "CSC_CIN", "CSC_S47", "CSC_CP_PLAN"];
        self.spec().class == SignalClass::Protective || OPENED.contains(&self.as_str())
    }

    /// Returns a dense number below [`SignalCode::COUNT`], for tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// How many codes there are.
    pub const COUNT: usize = CATALOGUE.len();

    /// Returns whether it counts as harm.
    pub fn is_harm(self) -> bool {
        self.spec().class == SignalClass::Harm
    }

    /// Reads a code from a message.
    pub fn from_wire(number: i32) -> Result<Self, WireError> {
        if number == pb::SignalCode::Unspecified as i32 {
            return Err(WireError::Missing("code"));
        }
        Self::all().find(|code| code.spec().number == number).ok_or(WireError::Unknown("code"))
    }

    /// Returns the number for a message.
    pub const fn to_wire(self) -> i32 {
        self.spec().number
    }
}

impl FromStr for SignalCode {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::all().find(|code| code.as_str() == text).ok_or_else(|| UnknownName {
            text: text.to_owned(),
            known: vec!["the 75 codes of the signal catalogue"],
        })
    }
}

impl fmt::Display for SignalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SignalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for SignalCode {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for SignalCode {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Shortens the table: one signal a line.
macro_rules! signal {
    ($name:literal, $pb:ident, $owner:expr, $class:ident, $span:ident, $release:ident, $suspect:literal, $plain:literal) => {
        SignalSpec {
            name: $name,
            number: pb::SignalCode::$pb as i32,
            owner: $owner,
            class: SignalClass::$class,
            span: SignalSpan::$span,
            release: ReleaseDefault::$release,
            of_suspect: $suspect,
            plain: $plain,
        }
    };
}

use AgencyKind as K;

/// The catalogue: the 72 signals, then the three derived age bands. Order and numbers are for ever.
#[rustfmt::skip]
pub const CATALOGUE: &[SignalSpec] = &[
    signal!("POL_ASB_VICTIM", PolAsbVictim, Some(K::Police), Harm, Event, On, false, "Anti-social behaviour reported by or against this person as victim"),
    signal!("POL_HATE_INCIDENT", PolHateIncident, Some(K::Police), Harm, Event, On, false, "Hate incident or crime (perceived by anyone)"),
    signal!("POL_HARASS_STALK", PolHarassStalk, Some(K::Police), Harm, Event, On, false, "Harassment or stalking report"),
    signal!("POL_DA_STD", PolDaStd, Some(K::Police), Harm, Event, On, false, "Domestic abuse incident graded standard or medium"),
    signal!("POL_DA_HIGH", PolDaHigh, Some(K::Police), Harm, Event, On, false, "Domestic abuse graded high risk or MARAC"),
    signal!("POL_VICTIM_VIOLENCE", PolVictimViolence, Some(K::Police), Harm, Event, On, false, "Victim of non-domestic violence"),
    signal!("POL_CONCERN_WELFARE", PolConcernWelfare, Some(K::Police), Harm, Event, On, false, "Concern-for-welfare attendance or public protection notice"),
    signal!("POL_MH_CALLOUT", PolMhCallout, Some(K::Police), Harm, Event, Restricted, false, "Mental-health related police attendance"),
    signal!("POL_MISSING_CHILD", PolMissingChild, Some(K::Police), Harm, Event, On, false, "Child reported missing"),
    signal!("POL_MISSING_ADULT", PolMissingAdult, Some(K::Police), Harm, Event, On, false, "Adult at risk reported missing"),
    signal!("POL_EXPLOIT_CONCERN", PolExploitConcern, Some(K::Police), Harm, Event, Restricted, false, "Child sexual or criminal exploitation concern"),
    signal!("POL_CUCKOOING", PolCuckooing, Some(K::Police), Harm, Event, Restricted, false, "Home takeover (cuckooing) concern"),
    signal!("POL_SUSPECT_VIOLENCE", PolSuspectViolence, Some(K::Police), Harm, Event, Restricted, true, "Household member suspected of violence"),
    signal!("POL_DRUG_WARRANT", PolDrugWarrant, Some(K::Police), Harm, Event, Restricted, true, "Drug warrant at address"),
    signal!("HOU_ASB_COMPLAINANT", HouAsbComplainant, Some(K::Housing), Harm, Event, On, false, "ASB complaint made to landlord or council"),
    signal!("HOU_PROPERTY_CONDITION", HouPropertyCondition, Some(K::Housing), Harm, Event, On, false, "Hoarding or serious disrepair seen in home"),
    signal!("HOU_NO_ACCESS", HouNoAccess, Some(K::Housing), Harm, Event, On, false, "Repeated no access for safety checks"),
    signal!("HOU_ARREARS_8W", HouArrears8w, Some(K::Housing), Harm, State, On, false, "Rent arrears of 8 weeks or more"),
    signal!("HOU_NSP", HouNsp, Some(K::Housing), Harm, State, On, false, "Notice seeking possession served"),
    signal!("HOU_EVICTION_WARRANT", HouEvictionWarrant, Some(K::Housing), Harm, State, On, false, "Eviction warrant"),
    signal!("HOU_HOMELESS_DUTY", HouHomelessDuty, Some(K::Housing), Harm, State, On, false, "Homelessness duty owed"),
    signal!("HOU_TA_MOVES", HouTaMoves, Some(K::Housing), Harm, Event, On, false, "Repeated temporary accommodation moves"),
    signal!("HOU_ADAPTED_HOME", HouAdaptedHome, Some(K::Housing), Context, State, On, false, "Home adapted for disability"),
    signal!("ASC_SUICIDAL_DISCLOSURE", AscSuicidalDisclosure, Some(K::AdultSocialCare), Harm, Event, On, false, "Suicidal thoughts disclosed to adult social care"),
    signal!("ASC_S42_ENQUIRY", AscS42Enquiry, Some(K::AdultSocialCare), Harm, State, On, false, "Open section 42 safeguarding enquiry"),
    signal!("ASC_SG_CONCERN", AscSgConcern, Some(K::AdultSocialCare), Harm, Event, On, false, "Safeguarding concern raised (no enquiry)"),
    signal!("ASC_SELF_NEGLECT", AscSelfNeglect, Some(K::AdultSocialCare), Harm, Event, On, false, "Self-neglect recorded"),
    signal!("ASC_CARER_BREAKDOWN", AscCarerBreakdown, Some(K::AdultSocialCare), Harm, Event, On, false, "Carer strain or care breaking down"),
    signal!("ASC_CARE_REFUSED", AscCareRefused, Some(K::AdultSocialCare), Harm, Event, On, false, "Care or assessment declined"),
    signal!("ASC_FOLLOWED_UP", AscFollowedUp, Some(K::AdultSocialCare), Protective, Event, On, false, "Assessment or follow-up contact completed"),
    signal!("ASC_CARE_NEED", AscCareNeed, Some(K::AdultSocialCare), Context, State, On, false, "Care and support needs (incl. learning disability)"),
    signal!("ASC_UNPAID_CARER", AscUnpaidCarer, Some(K::AdultSocialCare), Context, State, On, false, "Known unpaid carer"),
    signal!("CSC_REFERRAL_NFA", CscReferralNfa, Some(K::ChildrensSocialCare), Harm, Event, On, false, "Referral closed with no further action"),
    signal!("CSC_CIN", CscCin, Some(K::ChildrensSocialCare), Harm, State, On, false, "Child in need plan"),
    signal!("CSC_S47", CscS47, Some(K::ChildrensSocialCare), Harm, Event, On, false, "Section 47 enquiry"),
    signal!("CSC_CP_PLAN", CscCpPlan, Some(K::ChildrensSocialCare), Harm, State, On, false, "Child protection plan"),
    signal!("CSC_NEGLECT_FACTOR", CscNeglectFactor, Some(K::ChildrensSocialCare), Harm, Event, On, false, "Neglect factor at assessment (16A)"),
    signal!("CSC_CASE_CLOSED", CscCaseClosed, Some(K::ChildrensSocialCare), Context, Event, On, false, "Case or service closed in last 6 months"),
    signal!("CSC_CARE_LEAVER", CscCareLeaver, Some(K::ChildrensSocialCare), Context, State, On, false, "Care leaver"),
    signal!("CSC_ALLOCATED_SEEN", CscAllocatedSeen, Some(K::ChildrensSocialCare), Protective, Event, On, false, "Allocated social worker has seen child"),
    signal!("EDU_PERSIST_ABS", EduPersistAbs, Some(K::Schools), Harm, State, On, false, "Persistent absence (10% or more of sessions)"),
    signal!("EDU_SEVERE_ABS", EduSevereAbs, Some(K::Schools), Harm, State, On, false, "Severe absence (50% or more of sessions)"),
    signal!("EDU_ABS_CHANGE", EduAbsChange, Some(K::Schools), Harm, Event, On, false, "Sudden fall in attendance against own baseline"),
    signal!("EDU_SUSPENSION", EduSuspension, Some(K::Schools), Harm, Event, On, false, "Suspension"),
    signal!("EDU_PERM_EX", EduPermEx, Some(K::Schools), Harm, Event, On, false, "Permanent exclusion"),
    signal!("EDU_CME", EduCme, Some(K::Schools), Harm, State, On, false, "Child missing education"),
    signal!("EDU_DSL_CONCERN", EduDslConcern, Some(K::Schools), Harm, Event, On, false, "Safeguarding lead logged a concern"),
    signal!("EDU_EHCP", EduEhcp, Some(K::Schools), Context, State, On, false, "Education health and care plan"),
    signal!("NHS_SELF_HARM_ED", NhsSelfHarmEd, Some(K::Nhs), Harm, Event, Restricted, false, "Emergency attendance for self-harm"),
    signal!("NHS_LOW_MOOD_SEVERE", NhsLowMoodSevere, Some(K::Nhs), Harm, Event, Off, false, "Severe low mood recorded in primary care"),
    signal!("NHS_DA_DISCLOSURE", NhsDaDisclosure, Some(K::Nhs), Harm, Event, Restricted, false, "Domestic abuse disclosed to health"),
    signal!("NHS_U1_INJURY", NhsU1Injury, Some(K::Nhs), Harm, Event, On, false, "Under-1 attended with injury"),
    signal!("NHS_WNB", NhsWnb, Some(K::Nhs), Harm, Event, On, false, "Child was not brought to appointments"),
    signal!("NHS_LATE_BOOKING", NhsLateBooking, Some(K::Nhs), Harm, Event, On, false, "Very late antenatal booking"),
    signal!("NHS_ED_FREQUENT", NhsEdFrequent, Some(K::Nhs), Harm, State, On, false, "Five or more emergency attendances in 6 months"),
    signal!("NHS_FALLS_AMB", NhsFallsAmb, Some(K::Nhs), Harm, Event, On, false, "Ambulance attended fall"),
    signal!("NHS_SUBS_DROPOUT", NhsSubsDropout, Some(K::Nhs), Harm, Event, Off, false, "Unplanned exit from substance treatment"),
    signal!("NHS_LD_REGISTER", NhsLdRegister, Some(K::Nhs), Context, State, Restricted, false, "On learning disability register"),
    signal!("NHS_PREGNANT", NhsPregnant, Some(K::Nhs), Context, State, Restricted, false, "Currently pregnant"),
    signal!("FRS_DELIBERATE_FIRE", FrsDeliberateFire, Some(K::Fire), Harm, Event, On, false, "Deliberate fire or arson threat at address"),
    signal!("FRS_HOARDING", FrsHoarding, Some(K::Fire), Harm, State, On, false, "Hoarding seen by fire crew"),
    signal!("FRS_HIGH_RISK_HOME", FrsHighRiskHome, Some(K::Fire), Harm, State, On, false, "Very high home fire risk and visit refused"),
    signal!("FRS_COOKING_ALARMS", FrsCookingAlarms, Some(K::Fire), Harm, Event, On, false, "Repeat unattended-cooking alarms"),
    signal!("PRB_HIGH_ROSH_ADDR", PrbHighRoshAddr, Some(K::Probation), Harm, State, Restricted, true, "Person assessed high risk of serious harm living at address"),
    signal!("PRB_DA_RELEASE", PrbDaRelease, Some(K::Probation), Harm, State, Restricted, true, "Domestic abuse perpetrator released to or near household"),
    signal!("PRB_BREACH", PrbBreach, Some(K::Probation), Harm, Event, Restricted, true, "Breach of order or licence"),
    signal!("YJS_ACTIVE", YjsActive, Some(K::Probation), Harm, State, Restricted, true, "Active youth justice order"),
    signal!("DWP_SAFEGUARD_FLAG", DwpSafeguardFlag, Some(K::Dwp), Harm, Event, On, false, "Benefits office safeguarding or suicide-risk flag"),
    signal!("DWP_SANCTION", DwpSanction, Some(K::Dwp), Harm, Event, On, false, "Sanction or stopped payment"),
    signal!("DWP_ADVANCE", DwpAdvance, Some(K::Dwp), Harm, Event, On, false, "Hardship or advance payment"),
    signal!("DWP_CARER_BENEFIT", DwpCarerBenefit, Some(K::Dwp), Context, State, On, false, "Carer benefit in payment"),
    signal!("REV_ENFORCEMENT", RevEnforcement, Some(K::Revenues), Harm, Event, On, false, "Council tax passed to enforcement"),
    signal!("DER_CHILD_U1", DerChildU1, None, Context, State, On, false, "Child under 1 in household"),
    signal!("DER_CHILD_U5", DerChildU5, None, Context, State, On, false, "Child under 5 in household"),
    signal!("DER_CHILD_U18", DerChildU18, None, Context, State, On, false, "Child under 18 in household"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_text_and_wire() {
        assert_eq!(SignalCode::COUNT, 75);
        for code in SignalCode::all() {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(SignalCode::from_wire(code.to_wire()), Ok(code));
        }
        assert_eq!(SignalCode::CHILD_U18.as_str(), "DER_CHILD_U18");
        assert_eq!(SignalCode::from_wire(0), Err(WireError::Missing("code")));
        assert_eq!(SignalCode::from_wire(9999), Err(WireError::Unknown("code")));
    }

    #[test]
    fn the_number_on_the_wire_has_the_same_name_in_the_contract() {
        for code in SignalCode::all() {
            let generated = pb::SignalCode::try_from(code.to_wire()).unwrap();
            assert_eq!(generated.as_str_name(), format!("SIGNAL_CODE_{code}"));
        }
    }

    #[test]
    fn an_unknown_name_says_what_is_known() {
        let refused = "librarian".parse::<AgencyKind>().unwrap_err().to_string();
        assert!(refused.starts_with("`librarian` is not one of police, housing,"), "{refused}");
    }
}
