//! What each agency's system is like: whom it holds, and how its records go wrong.

use causeway_proto::{catalogue::AgencyKind, day::Day};

use super::residents::{Person, Town};

/// How one system's records are. Shares are of a thousand records that could be so.
pub(super) struct System {
    /// Whose it is.
    pub(super) agency: AgencyKind,
    /// Its name.
    pub(super) source: &'static str,
    /// What its own numbers begin with.
    pub(super) prefix: &'static str,
    /// Further records of one person.
    pub(super) again: u32,
    /// Written in capitals.
    pub(super) capitals: u32,
    /// With a title.
    pub(super) title: u32,
    /// Only the initial of the forename.
    pub(super) initial: u32,
    /// With the middle name in full; of the rest, half with its initial.
    pub(super) middle: u32,
    /// By a short form of the forename.
    pub(super) nickname: u32,
    /// One letter of a name wrong.
    pub(super) typo: u32,
    /// Forename and surname exchanged.
    pub(super) exchanged: u32,
    /// Under the name before marriage, of those who took another.
    pub(super) old_name: u32,
    /// One half of a double name.
    pub(super) half_name: u32,
    /// Without the date of birth.
    pub(super) no_birth: u32,
    /// With a date that stands for an unknown one.
    pub(super) stand_in: u32,
    /// Day and month exchanged, or a digit wrong.
    pub(super) wrong_birth: u32,
    /// The home before, of those who moved.
    pub(super) old_home: u32,
    /// Without the flat, of those who live in one.
    pub(super) no_flat: u32,
    /// The street abbreviated.
    pub(super) short_street: u32,
    /// The postcode without its space.
    pub(super) tight: u32,
    /// The postcode wrong.
    pub(super) wrong_postcode: u32,
    /// With each number, where the person has one.
    pub(super) uprn: u32,
    pub(super) nhs: u32,
    pub(super) upn: u32,
    pub(super) nino: u32,
}

/// A careful system, to say only how others differ.
const CAREFUL: System = System {
    agency: AgencyKind::Nhs,
    source: "emis",
    prefix: "E",
    again: 15,
    capitals: 60,
    title: 500,
    initial: 0,
    middle: 500,
    nickname: 15,
    typo: 8,
    exchanged: 3,
    old_name: 100,
    half_name: 60,
    no_birth: 1,
    stand_in: 2,
    wrong_birth: 4,
    old_home: 180,
    no_flat: 40,
    short_street: 150,
    tight: 60,
    wrong_postcode: 10,
    uprn: 0,
    nhs: 990,
    upn: 0,
    nino: 0,
};

/// The systems of the nine agencies.
pub(super) const SYSTEMS: &[System] = &[
    System {
        agency: AgencyKind::Police,
        source: "niche",
        prefix: "P",
        again: 120,
        capitals: 700,
        title: 100,
        middle: 250,
        nickname: 90,
        typo: 45,
        exchanged: 12,
        old_name: 400,
        half_name: 250,
        no_birth: 40,
        stand_in: 30,
        wrong_birth: 25,
        old_home: 450,
        no_flat: 150,
        short_street: 450,
        tight: 250,
        wrong_postcode: 35,
        nhs: 0,
        ..CAREFUL
    },
    System {
        agency: AgencyKind::Housing,
        source: "nec",
        prefix: "T1",
        again: 20,
        title: 850,
        initial: 100,
        middle: 150,
        nickname: 40,
        typo: 20,
        old_name: 220,
        half_name: 200,
        no_birth: 90,
        stand_in: 15,
        wrong_birth: 12,
        old_home: 150,
        no_flat: 60,
        uprn: 900,
        nhs: 0,
        nino: 400,
        ..CAREFUL
    },
    System {
        agency: AgencyKind::AdultSocialCare,
        source: "mosaic",
        prefix: "A",
        again: 50,
        title: 600,
        middle: 350,
        nickname: 40,
        typo: 15,
        old_name: 150,
        no_birth: 15,
        stand_in: 12,
        wrong_birth: 10,
        old_home: 220,
        uprn: 450,
        nhs: 700,
        nino: 150,
        ..CAREFUL
    },
    System {
        agency: AgencyKind::ChildrensSocialCare,
        source: "lcs",
        prefix: "C",
        again: 40,
        title: 50,
        middle: 450,
        nickname: 50,
        typo: 20,
        old_name: 250,
        half_name: 200,
        no_birth: 15,
        stand_in: 8,
        wrong_birth: 10,
        old_home: 250,
        uprn: 450,
        nhs: 400,
        upn: 600,
        ..CAREFUL
    },
    System {
        agency: AgencyKind::Schools,
        source: "sims",
        prefix: "S1",
        again: 80,
        title: 0,
        middle: 400,
        nickname: 120,
        typo: 10,
        half_name: 180,
        old_home: 300,
        no_flat: 90,
        short_street: 200,
        nhs: 0,
        upn: 980,
        ..CAREFUL
    },
    CAREFUL,
    System {
        agency: AgencyKind::Fire,
        source: "frs_csv",
        prefix: "F",
        again: 40,
        capitals: 200,
        title: 400,
        initial: 300,
        middle: 20,
        nickname: 80,
        typo: 30,
        no_birth: 600,
        wrong_birth: 20,
        old_home: 200,
        no_flat: 80,
        tight: 300,
        uprn: 920,
        nhs: 0,
        ..CAREFUL
    },
    System {
        agency: AgencyKind::Dwp,
        source: "dwp_file",
        prefix: "D",
        again: 5,
        capitals: 1000,
        title: 0,
        middle: 100,
        nickname: 5,
        typo: 5,
        old_name: 180,
        half_name: 100,
        no_birth: 0,
        old_home: 250,
        short_street: 300,
        nhs: 0,
        nino: 995,
        ..CAREFUL
    },
    System {
        agency: AgencyKind::Revenues,
        source: "academy",
        prefix: "R",
        again: 0,
        title: 950,
        initial: 750,
        middle: 0,
        nickname: 5,
        typo: 15,
        old_name: 200,
        no_birth: 1000,
        old_home: 60,
        no_flat: 30,
        uprn: 950,
        nhs: 0,
        ..CAREFUL
    },
];

/// Returns how many of a thousand people like this one an agency holds.
pub(super) fn holds(agency: AgencyKind, person: &Person, town: &Town, as_at: Day) -> u32 {
    let household = town.household_of(person);
    let age = person.age(as_at);
    let child = household.members.iter().any(|at| town.people[*at].age(as_at) < 18);
    let first = household.members[0] == person.number;
    match agency {
        AgencyKind::Police => match age {
            ..10 => 70,
            10..18 => 220,
            18..70 => 430,
            _ => 280,
        },
        AgencyKind::Housing => match (household.social, age) {
            (true, 18..) => 960,
            (true, _) => 760,
            (false, 18..) => 60,
            (false, _) => 0,
        },
        AgencyKind::AdultSocialCare => match age {
            ..18 => 0,
            18..65 => 410,
            65..75 => 560,
            _ => 860,
        },
        AgencyKind::ChildrensSocialCare => match age {
            ..18 => 460,
            18..20 => 260,
            _ if child => 290,
            _ => 0,
        },
        AgencyKind::Schools => match age {
            4..19 => 970,
            _ => 0,
        },
        AgencyKind::Nhs if household.practice => 975,
        AgencyKind::Nhs => 20,
        AgencyKind::Fire if first => 720,
        AgencyKind::Fire => 25,
        AgencyKind::Dwp => match age {
            ..17 => 0,
            66.. => 970,
            _ if child => 600,
            _ => 400,
        },
        AgencyKind::Revenues if first => 960,
        AgencyKind::Revenues if household.rooms => 0,
        AgencyKind::Revenues => 8,
        AgencyKind::Probation => 0,
    }
}
