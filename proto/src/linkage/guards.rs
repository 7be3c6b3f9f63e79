//! What no amount of agreement may decide.
//!
//! Statistics accept an error in a thousand; a wrong link harms a stranger. These rules (DOMAIN.md
//! 5.6, V2 to V4 and H1) stand before the weights, at both ends.

use super::levels::{ComparisonField as F, Levels};

/// What two records' national numbers say, over the schemes that both carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StrongIds {
    /// How many schemes agree.
    pub agreeing: u8,
    /// How many schemes differ.
    pub conflicting: u8,
}

/// What may become of a pair, whatever its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The weight decides.
    Open,
    /// They may share a household, and are not known to be one person.
    HouseholdOnly(Doubt),
    /// They are two people.
    Veto(Conflict),
}

/// Why a pair proves a household at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// Same surname, birth date and address, and another forename: twins look like this.
    Twin,
    /// The forename is an initial or missing, and no full birth date speaks for it.
    Thin,
}

/// Why a pair is two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Conflict {
    /// Both carry a number of one national scheme, and the numbers differ.
    StrongId,
    /// Same names at one address, born 12 years apart or more: parent and child.
    Generation,
}

/// Applies the guards to one compared pair.
pub fn verdict(levels: Levels, ids: StrongIds) -> Verdict {
    if ids.conflicting > 0 {
        return Verdict::Veto(Conflict::StrongId);
    }
    let personal =
        ids.agreeing > 0 || levels.at_least(F::OtherId, 3) || levels.at_least(F::Email, 3);
    if personal {
        return Verdict::Open;
    }
    let elsewhere = levels.get(F::Address) == Some(0);
    if levels.generation_apart() && levels.at_least(F::Forename, 3) && !elsewhere {
        return Verdict::Veto(Conflict::Generation);
    }
    let other_forename = levels.get(F::Forename).is_some_and(|level| level <= 2);
    if other_forename
        && levels.at_least(F::Birth, 5)
        && levels.at_least(F::Surname, 4)
        && levels.at_least(F::Address, 4)
    {
        return Verdict::HouseholdOnly(Doubt::Twin);
    }
    let thin = levels.initial_only() || levels.get(F::Forename).is_none();
    if thin && !levels.at_least(F::Birth, 4) {
        return Verdict::HouseholdOnly(Doubt::Thin);
    }
    Verdict::Open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(forename: usize, surname: usize, birth: usize, address: usize) -> Levels {
        Levels::NONE
            .with(F::Forename, forename)
            .with(F::Surname, surname)
            .with(F::Birth, birth)
            .with(F::Address, address)
    }

    #[test]
    fn twins_are_a_household_unless_a_personal_number_agrees() {
        let twins = pair(2, 6, 5, 5);
        assert_eq!(verdict(twins, StrongIds::default()), Verdict::HouseholdOnly(Doubt::Twin));
        let same_number = StrongIds { agreeing: 1, conflicting: 0 };
        assert_eq!(verdict(twins, same_number), Verdict::Open);
        assert_eq!(
            verdict(pair(3, 6, 5, 5), StrongIds::default()),
            Verdict::Open,
            "a typing error"
        );
    }

    #[test]
    fn numbers_that_differ_veto_everything_else() {
        let ids = StrongIds { agreeing: 1, conflicting: 1 };
        assert_eq!(verdict(pair(7, 7, 5, 5), ids), Verdict::Veto(Conflict::StrongId));
    }

    #[test]
    fn a_name_without_a_birth_date_needs_more_than_an_initial() {
        let mut thin = Levels::NONE.with(F::Surname, 7).with(F::Address, 5);
        assert_eq!(verdict(thin, StrongIds::default()), Verdict::HouseholdOnly(Doubt::Thin));
        thin = thin.with(F::Birth, 5);
        assert_eq!(verdict(thin, StrongIds::default()), Verdict::Open);
    }
}
