//! The check digit of NHS and CHI numbers, which tells a mistyped or ruined one from a real one.

/// Returns whether text is ten digits, not all the same, with a valid check digit.
pub(crate) fn is_nhs_number(text: &str) -> bool {
    let digits = text.as_bytes();
    if digits.len() != 10 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    if digits.iter().all(|digit| *digit == digits[0]) {
        return false;
    }
    let weighted = digits[..9].iter().zip((2..=10).rev());
    let sum: u32 = weighted.map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    // A remainder that asks for 10 has no check digit, so no such number exists.
    (11 - sum % 11) % 11 == u32::from(digits[9] - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_tells_real_numbers_from_others() {
        for valid in ["9434765919", "9000000009", "9876543210", "4505577104", "9990100012"] {
            assert!(is_nhs_number(valid), "{valid}");
        }
        // The first four were published as valid and are not.
        for invalid in [
            "9991234560",
            "9876544321",
            "9111111124",
            "9222222228",
            "0000000000",
            "9999999999",
            "943476591",
            "94347659190",
            "943476591a",
            "",
        ] {
            assert!(!is_nhs_number(invalid), "{invalid}");
        }
    }
}
