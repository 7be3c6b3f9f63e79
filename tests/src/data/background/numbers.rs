//! Numbers that agencies share, with their check characters, from ranges that are never issued.
//!
//! The scenarios' own numbers are left out: 99901… of the NHS, schools 4001, QQ12, QQ22, QQ33.

/// The letters that check a pupil number, by remainder.
const UPN_LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPQRTUVWXYZ";

/// Gives out numbers, none twice.
#[derive(Default)]
pub(super) struct Numbers {
    nhs: u64,
    pupils: u32,
    workers: u32,
}

impl Numbers {
    /// Gives out an NHS number from 999 1… on, which are for tests.
    pub(super) fn nhs(&mut self) -> String {
        loop {
            // A prime step, so that people who live together have nothing in common.
            let nine = 999_100_000 + self.nhs * 7_919 % 900_000;
            self.nhs += 1;
            if let Some(check) = nhs_check(nine) {
                return format!("{nine}{check}");
            }
        }
    }

    /// Gives out a permanent pupil number of the authority 001, which is none.
    pub(super) fn upn(&mut self, first_year: i16) -> String {
        let school = 4100 + self.pupils / 1000 % 800;
        let rest = format!("001{school}{:02}{:03}", first_year.rem_euclid(100), self.pupils % 1000);
        self.pupils += 1;
        let value = |(at, digit): (usize, u8)| usize::from(digit - b'0') * (at + 2);
        let sum: usize = rest.bytes().enumerate().map(value).sum();
        format!("{}{rest}", char::from(UPN_LETTERS[sum % UPN_LETTERS.len()]))
    }

    /// Gives out a national insurance number with QQ, which is for examples.
    pub(super) fn nino(&mut self) -> String {
        loop {
            let digits = (self.workers * 7_919 + 500_000) % 1_000_000;
            self.workers += 1;
            if ![12, 22, 33].contains(&(digits / 10_000)) {
                let suffix = char::from(b"ABCD"[(self.workers % 4) as usize]);
                return format!("QQ{digits:06}{suffix}");
            }
        }
    }
}

/// The tenth digit of an NHS number; some have none.
fn nhs_check(nine: u64) -> Option<u64> {
    let digits = (0..9).map(|at| nine / 10_u64.pow(at) % 10);
    let sum: u64 = digits.zip(2..).map(|(digit, weight)| digit * weight).sum();
    match 11 - sum % 11 {
        11 => Some(0),
        10 => None,
        check => Some(check),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use causeway_node::normalise::{NhsNumber, Nino, Upn};

    use super::*;

    #[test]
    fn numbers_pass_their_checks_and_differ() {
        let mut numbers = Numbers::default();
        let mut seen = BTreeSet::new();
        for year in (1990..2025).cycle().take(20_000) {
            let (nhs, upn, nino) = (numbers.nhs(), numbers.upn(year), numbers.nino());
            assert!(NhsNumber::read(&nhs, true).is_ok(), "{nhs}");
            assert!(Upn::read(&upn).is_ok_and(|upn| upn.is_some_and(|upn| upn.is_permanent())));
            let nino = Nino::read(&nino, true).expect("it is well formed").as_str().to_owned();
            assert!(seen.insert(nhs) && seen.insert(upn) && seen.insert(nino));
        }
    }

    #[test]
    fn nhs_numbers_are_those_of_the_scenarios_by_the_same_rule() {
        assert_eq!(nhs_check(999_010_001), Some(2));
        assert_eq!(nhs_check(943_476_591), Some(9));
    }
}
