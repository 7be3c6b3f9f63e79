//! What no amount of agreement may decide.
//!
//! Statistics accept an error in a thousand; a wrong link harms a stranger. These rules (DOMAIN.md
//! 5.6, V2 to V4 and H1) stand before the weights, at both ends.

use super::{
    cluster::ABSENT_BITS,
    levels::{ComparisonField as F, Levels},
};

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
    /// Relatives look like this: the weight has to tell them from one person.
    Doubtful(Doubt),
    /// They may share a household, and next to nothing here says that they are one person.
    HouseholdOnly,
    /// Both carry a number of one national scheme, and the numbers differ: they are two people.
    Veto,
}

/// Whom a pair may be, if not one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// Same surname, birth date and address, and another forename.
    Twins,
    /// Same names at one address, born 12 years apart or more.
    Generations,
    /// The forename is an initial or missing, and the birth dates differ somewhere.
    Initial,
    /// Same forename and birth date, and everything else is another: a marriage and a move, or a
    /// stranger, or a child before and after an adoption.
    Renamed,
}

/// Weight in bits from which a pair is told from what it could be mistaken for: four times as likely
/// one person as everything else.
pub const CLEAR_BITS: f64 = 2.0;

/// Weight in bits from which a pair is linked that shows next to nothing of the person.
///
/// It is then sixty times as likely one person as anything else. Only where the records show hardly any
/// relatives does a surname at an address weigh so much.
pub const NO_RELATIVES_BITS: f64 = 6.0;

/// Applies the guards to one compared pair.
pub fn verdict(levels: Levels, ids: StrongIds) -> Verdict {
    if ids.conflicting > 0 {
        return Verdict::Veto;
    }
    let personal =
        ids.agreeing > 0 || levels.at_least(F::OtherId, 3) || levels.at_least(F::Email, 3);
    if personal {
        return Verdict::Open;
    }
    if nothing_but_a_date(levels) {
        return Verdict::HouseholdOnly;
    }
    if generations(levels) {
        return Verdict::Doubtful(Doubt::Generations);
    }
    let other_forename = levels.get(F::Forename).is_some_and(|level| level <= 2);
    if other_forename
        && levels.at_least(F::Birth, 5)
        && levels.at_least(F::Surname, 4)
        && levels.at_least(F::Address, 3)
    {
        return Verdict::Doubtful(Doubt::Twins);
    }
    let renamed = levels.get(F::Surname) == Some(0) && levels.get(F::Address) == Some(0);
    if renamed && !levels.at_least(F::Phone, 1) {
        return Verdict::Doubtful(Doubt::Renamed);
    }
    let thin = levels.initial_only() || levels.get(F::Forename).is_none();
    match levels.get(F::Birth) {
        None if thin => Verdict::HouseholdOnly,
        Some(..4) if thin => Verdict::Doubtful(Doubt::Initial),
        _ => Verdict::Open,
    }
}

/// Returns whether two records have no name to compare and live elsewhere, as far as is known, and no number or
/// address of somebody's own is alike.
fn nothing_but_a_date(levels: Levels) -> bool {
    let nameless = [F::Forename, F::Surname].iter().all(|field| levels.get(*field).is_none());
    let alike = [(F::Address, 1), (F::OtherId, 2), (F::Email, 2), (F::Phone, 1)];
    nameless && !alike.iter().any(|(field, level)| levels.at_least(*field, *level))
}

/// Returns whether parent and child of one name look like this.
pub(super) fn generations(levels: Levels) -> bool {
    let elsewhere = levels.get(F::Address) == Some(0);
    let other_family = levels.get(F::Surname) == Some(0);
    levels.generation_apart() && levels.at_least(F::Forename, 3) && !(elsewhere || other_family)
}

/// Returns for each record whether another that bears the same personal number contradicts its birth
/// date.
///
/// One of the two dates is a mistake, so that being born a generation apart from somebody else proves
/// nothing either.
pub fn birth_disputed(
    records: usize,
    pairs: impl Iterator<Item = (u32, u32, Levels, StrongIds)>,
) -> Vec<bool> {
    let mut disputed = vec![false; records];
    for (a, b, levels, ids) in pairs {
        let same_number = ids.agreeing > 0 || levels.at_least(F::OtherId, 3);
        if same_number && ids.conflicting == 0 && levels.generation_apart() {
            disputed[a as usize] = true;
            disputed[b as usize] = true;
        }
    }
    disputed
}

/// Returns what a pair's weight counts for after the guards: `None` for two people.
///
/// A pair that may be twins, or that an initial leaves open, speaks neither for one person nor
/// against, like one that was never compared: other records have to decide.
pub fn guarded(verdict: Verdict, bits: f64) -> Option<f64> {
    let least = least_bits(verdict)?;
    match verdict {
        Verdict::Open => Some(bits),
        _ if bits >= least => Some(bits),
        Verdict::Doubtful(Doubt::Generations) => None,
        _ => Some(bits.min(ABSENT_BITS)),
    }
}

/// Returns the weight in bits from which a pair is linked; `None` where none is enough.
pub fn least_bits(verdict: Verdict) -> Option<f64> {
    match verdict {
        Verdict::Open => Some(0.0),
        Verdict::Doubtful(_) => Some(CLEAR_BITS),
        Verdict::HouseholdOnly => Some(NO_RELATIVES_BITS),
        Verdict::Veto => None,
    }
}

/// Returns whether a pair, after the guards, has to be taken for two people.
pub fn are_two(verdict: Verdict, guarded: Option<f64>) -> bool {
    match guarded {
        None => true,
        Some(bits) => verdict == Verdict::Doubtful(Doubt::Twins) && bits < CLEAR_BITS,
    }
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
    fn twins_are_in_doubt_unless_a_personal_number_agrees() {
        let twins = pair(2, 4, 5, 5);
        assert_eq!(verdict(twins, StrongIds::default()), Verdict::Doubtful(Doubt::Twins));
        let same_number = StrongIds { agreeing: 1, conflicting: 0 };
        assert_eq!(verdict(twins, same_number), Verdict::Open);
        assert_eq!(
            verdict(pair(3, 4, 5, 5), StrongIds::default()),
            Verdict::Open,
            "a typing error"
        );
    }

    #[test]
    fn another_surname_at_another_address_needs_a_clear_weight() {
        let renamed = pair(5, 0, 5, 0);
        let verdict_of = verdict(renamed, StrongIds::default());
        assert_eq!(verdict_of, Verdict::Doubtful(Doubt::Renamed));
        assert!(guarded(verdict_of, CLEAR_BITS - 0.1).is_some_and(|bits| bits < 0.0));
        assert_eq!(guarded(verdict_of, CLEAR_BITS), Some(CLEAR_BITS));
        assert_eq!(verdict(renamed.with(F::Phone, 1), StrongIds::default()), Verdict::Open);
    }

    #[test]
    fn a_number_of_ones_own_shows_whose_birth_date_is_a_mistake() {
        let same_number = Levels::NONE.with(F::OtherId, 3);
        let apart = Levels::from_bits(same_number.bits() | 1 << 61);
        assert!(apart.generation_apart());
        let pairs = |ids| [(0, 1, same_number, ids), (1, 2, apart, ids)].into_iter();
        assert_eq!(birth_disputed(4, pairs(StrongIds::default())), [false, true, true, false]);
        let conflict = StrongIds { agreeing: 0, conflicting: 1 };
        assert_eq!(birth_disputed(4, pairs(conflict)), [false; 4]);
    }

    #[test]
    fn mother_and_daughter_of_other_surnames_are_no_namesakes() {
        let namesakes = Levels::from_bits(pair(5, 4, 0, 5).bits() | 1 << 61);
        assert!(generations(namesakes));
        assert!(!generations(namesakes.with(F::Surname, 0)));
    }

    #[test]
    fn numbers_that_differ_veto_everything_else() {
        let ids = StrongIds { agreeing: 1, conflicting: 1 };
        assert_eq!(verdict(pair(5, 5, 5, 5), ids), Verdict::Veto);
    }

    #[test]
    fn a_name_without_a_birth_date_needs_more_than_an_initial() {
        let mut thin = Levels::NONE.with(F::Surname, 5).with(F::Address, 5);
        assert_eq!(verdict(thin, StrongIds::default()), Verdict::HouseholdOnly);
        thin = thin.with(F::Birth, 3);
        assert_eq!(verdict(thin, StrongIds::default()), Verdict::Doubtful(Doubt::Initial));
        thin = thin.with(F::Birth, 5);
        assert_eq!(verdict(thin, StrongIds::default()), Verdict::Open);
    }

    #[test]
    fn records_that_have_no_name_in_common_are_no_one_person_by_a_birth_date_alone() {
        let nameless = Levels::NONE.with(F::Birth, 5).with(F::Address, 0);
        let none = StrongIds::default();
        assert_eq!(verdict(nameless, none), Verdict::HouseholdOnly);
        assert_eq!(verdict(nameless.with(F::Surname, 2), none), Verdict::Open);
        assert_eq!(verdict(nameless.with(F::Email, 2), none), Verdict::Open);
        assert_eq!(verdict(nameless.with(F::Address, 1), none), Verdict::Open);
        let same_number = StrongIds { agreeing: 1, conflicting: 0 };
        assert_eq!(verdict(nameless, same_number), Verdict::Open);
    }

    #[test]
    fn a_doubtful_pair_needs_a_clear_weight_and_a_thin_one_a_clearer() {
        let (twins, generations) = (Doubt::Twins, Doubt::Generations);
        for (doubt, unclear) in [(twins, Some(ABSENT_BITS)), (generations, None)] {
            let verdict = Verdict::Doubtful(doubt);
            assert_eq!(guarded(verdict, CLEAR_BITS), Some(CLEAR_BITS));
            assert_eq!(guarded(verdict, CLEAR_BITS - 0.1), unclear);
            assert!(are_two(verdict, unclear) && !are_two(verdict, Some(CLEAR_BITS)));
        }
        let thin = |bits| guarded(Verdict::HouseholdOnly, bits);
        assert_eq!(thin(NO_RELATIVES_BITS - 0.1), Some(ABSENT_BITS));
        assert_eq!(thin(NO_RELATIVES_BITS), Some(NO_RELATIVES_BITS));
        assert_eq!(guarded(Verdict::Veto, 40.0), None);
        assert_eq!(guarded(Verdict::Open, -1.0), Some(-1.0));
    }
}
