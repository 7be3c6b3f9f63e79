//! What may happen to a household of the background: the whole list, each story mild on its own.
//!
//! Nobody of the background may look as the scenarios do, whatever the day. So a household has one
//! story at most, no story holds what a rule of the scoring model needs, and all of one at once
//! stays below tier T2, except [`RAISED`], which stays below T3. The tests hold every story against
//! the model.

use causeway_node::source::Role;

/// Something that happens to one member of a household, up to so many times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The code in the catalogue. Its owner records it.
    pub(super) code: &'static str,
    /// Whom it may happen to.
    pub(super) whom: Whom,
    /// The most times.
    pub(super) times: u32,
}

/// Whom something may happen to, by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Adult,
    Woman,
    Older,
    Child,
    Pupil,
    Toddler,
    Teenager,
}

impl Whom {
    /// The ages, in years: from the first birthday up to before the last.
    pub(super) const fn ages(self) -> (i32, i32) {
        match self {
            Self::Adult => (18, 120),
            Self::Woman => (18, 60),
            Self::Older => (68, 120),
            Self::Child => (0, 17),
            Self::Pupil => (5, 16),
            Self::Toddler => (0, 5),
            Self::Teenager => (12, 17),
        }
    }
}

/// What happens to one household, and how often among a thousand that something happens to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Story {
    /// Among the others.
    pub(super) weight: u32,
    /// Its parts, within some months of each other.
    pub(super) parts: &'static [Part],
}

const fn part(code: &'static str, whom: Whom, times: u32) -> Part {
    Part { code, whom, times }
}

const fn story(weight: u32, parts: &'static [Part]) -> Story {
    Story { weight, parts }
}

use Whom::{Adult, Child, Older, Pupil, Teenager, Toddler, Woman};

/// Harm that stays below T2 even if all of it happens on one day.
pub(super) const STORIES: &[Story] = &[
    // What one agency knows.
    story(80, &[part("POL_ASB_VICTIM", Adult, 2)]),
    story(60, &[part("POL_VICTIM_VIOLENCE", Adult, 1)]),
    story(55, &[part("POL_DA_STD", Woman, 1)]),
    story(35, &[part("POL_CONCERN_WELFARE", Adult, 2)]),
    story(20, &[part("POL_MH_CALLOUT", Adult, 1)]),
    story(18, &[part("POL_HATE_INCIDENT", Adult, 1)]),
    story(14, &[part("POL_HARASS_STALK", Woman, 1)]),
    story(16, &[part("POL_MISSING_CHILD", Teenager, 1)]),
    story(5, &[part("POL_MISSING_ADULT", Older, 1)]),
    story(30, &[part("POL_SUSPECT_VIOLENCE", Adult, 1)]),
    story(8, &[part("POL_DRUG_WARRANT", Adult, 1)]),
    story(3, &[part("POL_DA_HIGH", Woman, 1)]),
    story(45, &[part("HOU_ASB_COMPLAINANT", Adult, 2)]),
    story(60, &[part("HOU_ARREARS_8W", Adult, 1)]),
    story(16, &[part("HOU_ARREARS_8W", Adult, 1), part("HOU_NSP", Adult, 1)]),
    story(4, &[part("HOU_EVICTION_WARRANT", Adult, 1)]),
    story(10, &[part("HOU_HOMELESS_DUTY", Adult, 1)]),
    story(4, &[part("HOU_TA_MOVES", Adult, 1)]),
    story(24, &[part("HOU_NO_ACCESS", Adult, 2)]),
    story(10, &[part("HOU_PROPERTY_CONDITION", Adult, 1)]),
    story(24, &[part("ASC_SG_CONCERN", Older, 1)]),
    story(8, &[part("ASC_S42_ENQUIRY", Older, 1)]),
    story(8, &[part("ASC_SELF_NEGLECT", Older, 1)]),
    story(16, &[part("ASC_CARER_BREAKDOWN", Adult, 1)]),
    story(16, &[part("ASC_CARE_REFUSED", Older, 2)]),
    story(6, &[part("ASC_SUICIDAL_DISCLOSURE", Adult, 1)]),
    story(30, &[part("CSC_REFERRAL_NFA", Child, 1)]),
    story(16, &[part("CSC_CIN", Child, 1)]),
    story(6, &[part("CSC_NEGLECT_FACTOR", Child, 1)]),
    story(3, &[part("CSC_S47", Child, 1)]),
    story(3, &[part("CSC_CP_PLAN", Child, 1)]),
    story(50, &[part("EDU_PERSIST_ABS", Pupil, 1)]),
    story(10, &[part("EDU_SEVERE_ABS", Pupil, 1)]),
    story(12, &[part("EDU_ABS_CHANGE", Pupil, 1)]),
    story(30, &[part("EDU_SUSPENSION", Teenager, 2)]),
    story(3, &[part("EDU_PERM_EX", Teenager, 1)]),
    story(3, &[part("EDU_CME", Pupil, 1)]),
    story(24, &[part("EDU_DSL_CONCERN", Pupil, 1)]),
    story(20, &[part("NHS_WNB", Child, 2)]),
    story(30, &[part("NHS_FALLS_AMB", Older, 2)]),
    story(12, &[part("NHS_ED_FREQUENT", Adult, 1)]),
    story(5, &[part("NHS_SELF_HARM_ED", Adult, 1)]),
    story(10, &[part("NHS_LOW_MOOD_SEVERE", Adult, 1)]),
    story(6, &[part("NHS_DA_DISCLOSURE", Woman, 1)]),
    story(4, &[part("NHS_LATE_BOOKING", Woman, 1)]),
    story(4, &[part("NHS_SUBS_DROPOUT", Adult, 1)]),
    story(12, &[part("FRS_COOKING_ALARMS", Adult, 2)]),
    story(5, &[part("FRS_HOARDING", Adult, 1)]),
    story(6, &[part("FRS_HIGH_RISK_HOME", Adult, 1)]),
    story(2, &[part("FRS_DELIBERATE_FIRE", Adult, 1)]),
    story(30, &[part("DWP_SANCTION", Adult, 2)]),
    story(40, &[part("DWP_ADVANCE", Adult, 2)]),
    story(6, &[part("DWP_SAFEGUARD_FLAG", Adult, 1)]),
    story(75, &[part("REV_ENFORCEMENT", Adult, 2)]),
    // What two know of, each a part.
    story(25, &[part("REV_ENFORCEMENT", Adult, 1), part("DWP_ADVANCE", Adult, 1)]),
    story(25, &[part("HOU_ARREARS_8W", Adult, 1), part("REV_ENFORCEMENT", Adult, 1)]),
    story(16, &[part("HOU_ARREARS_8W", Adult, 1), part("DWP_SANCTION", Adult, 1)]),
    story(24, &[part("POL_ASB_VICTIM", Adult, 1), part("HOU_ASB_COMPLAINANT", Adult, 1)]),
    story(12, &[part("NHS_FALLS_AMB", Older, 1), part("ASC_SG_CONCERN", Older, 1)]),
    story(10, &[part("POL_CONCERN_WELFARE", Adult, 1), part("ASC_SG_CONCERN", Older, 1)]),
    story(8, &[part("NHS_WNB", Toddler, 1), part("CSC_REFERRAL_NFA", Child, 1)]),
    story(12, &[part("EDU_PERSIST_ABS", Pupil, 1), part("CSC_REFERRAL_NFA", Child, 1)]),
    story(6, &[part("EDU_DSL_CONCERN", Pupil, 1), part("CSC_CIN", Child, 1)]),
    story(6, &[part("POL_DA_STD", Woman, 1), part("CSC_REFERRAL_NFA", Child, 1)]),
    story(6, &[part("FRS_COOKING_ALARMS", Older, 1), part("NHS_FALLS_AMB", Older, 1)]),
];

/// The few that reach T2 if all of it happens at once, and never T3.
pub(super) const RAISED: &[Story] = &[
    story(
        1,
        &[
            part("POL_VICTIM_VIOLENCE", Adult, 2),
            part("ASC_S42_ENQUIRY", Older, 1),
            part("NHS_FALLS_AMB", Older, 2),
        ],
    ),
    story(
        1,
        &[
            part("CSC_CP_PLAN", Child, 1),
            part("POL_VICTIM_VIOLENCE", Adult, 1),
            part("HOU_ARREARS_8W", Adult, 1),
        ],
    ),
];

/// What is no harm: how a person lives, and the help they have. How many of a thousand records of
/// such a person at the code's owner say it.
///
/// `CSC_CASE_CLOSED` is left out: with a carer and a disability it would be half a rule.
pub(super) const CONTEXT: &[(Part, u32)] = &[
    (part("ASC_CARE_NEED", Older, 1), 250),
    (part("ASC_UNPAID_CARER", Adult, 1), 50),
    (part("ASC_FOLLOWED_UP", Adult, 1), 60),
    (part("CSC_CARE_LEAVER", Teenager, 1), 8),
    (part("CSC_ALLOCATED_SEEN", Child, 2), 30),
    (part("EDU_EHCP", Pupil, 1), 45),
    (part("HOU_ADAPTED_HOME", Older, 1), 120),
    (part("NHS_LD_REGISTER", Adult, 1), 6),
    (part("NHS_PREGNANT", Woman, 1), 20),
    (part("DWP_CARER_BENEFIT", Adult, 1), 35),
];

/// What somebody is called in a record of it.
pub(super) fn role(code: &str) -> Role {
    match code {
        "POL_SUSPECT_VIOLENCE" | "POL_DRUG_WARRANT" => Role::Suspect,
        _ if code.starts_with("POL_") => Role::Victim,
        _ => Role::Subject,
    }
}
