//! Reads telephone numbers, e-mail addresses and other identifiers that agencies may share.

use super::{fold::fold, quality::Note};

/// Reads a telephone number: its last nine digits, which no way of writing the country code or the
/// trunk zero changes. What is said before it or behind it (`mob`, `ext 12`, another number) is left out.
pub(super) fn phone(text: &str) -> Result<String, Note> {
    /// A local number has so many digits: a letter behind them ends it.
    const LOCAL: usize = 6;
    let folded = fold(text);
    let bytes = folded.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'o');
    let is_letter = |at: usize| bytes.get(at).is_some_and(|b| b.is_ascii_lowercase() && *b != b'o');
    let mut digits = String::with_capacity(11);
    for (at, byte) in bytes.iter().copied().enumerate() {
        let (before, after) = (at.wrapping_sub(1), at + 1);
        match byte {
            b'0'..=b'9' => digits.push(char::from(byte)),
            // A second number begins once the first is whole.
            b'/' | b',' | b';' | b'|' if digits.len() >= 10 => break,
            // An `o` among digits was typed for a zero.
            b'o' if !is_letter(before)
                && !is_letter(after)
                && (is_digit(before) || is_digit(after)) =>
            {
                digits.push('0');
            }
            b'a'..=b'z' if digits.len() >= LOCAL => break,
            _ => {}
        }
    }
    let Some(last) = digits.len().checked_sub(9).map(|from| &digits[from..]) else {
        return Err(Note::PhoneForm);
    };
    if is_filler(last) || digits.len() > 15 { Err(Note::PhoneForm) } else { Ok(last.to_owned()) }
}

/// Reads an e-mail address.
pub(super) fn email(text: &str) -> Result<String, Note> {
    let folded = fold(text);
    let email = folded.trim().trim_start_matches("mailto:").trim_end_matches(['.', ',', ';']);
    let Some((local, domain)) = email.split_once('@') else {
        return Err(Note::EmailForm);
    };
    let well_formed = !local.is_empty()
        && !domain.contains('@')
        && domain.split('.').count() > 1
        && domain.split('.').all(|label| !label.is_empty())
        && !email.contains([' ', ',', ';', '<', '>', '(', ')']);
    let nobody = matches!(
        local,
        "none"
            | "no"
            | "noemail"
            | "no-email"
            | "no.email"
            | "unknown"
            | "na"
            | "n/a"
            | "nil"
            | "test"
            | "noreply"
            | "no-reply"
            | "donotreply"
            | "x"
            | "xx"
            | "xxx"
            | "notknown"
            | "refused"
            | "declined"
    );
    if well_formed && !nobody { Ok(email.to_owned()) } else { Err(Note::EmailForm) }
}

/// Reads another identifier, such as a reference that several agencies carry: five letters and
/// digits or more.
pub(super) fn other_id(text: &str) -> Result<String, Note> {
    let folded = fold(text);
    let id: String = folded.chars().filter(char::is_ascii_alphanumeric).collect();
    let short = id.len() < 5 || !id.bytes().any(|b| b.is_ascii_digit());
    if short || is_filler(&id) { Err(Note::OtherIdForm) } else { Ok(id) }
}

/// Returns whether a number is one that people type to get past a field.
fn is_filler(text: &str) -> bool {
    let bytes = text.as_bytes();
    let few = |distinct: usize| {
        let mut seen: Vec<u8> = Vec::new();
        bytes.iter().for_each(|b| {
            if !seen.contains(b) {
                seen.push(*b)
            }
        });
        seen.len() <= distinct
    };
    let counting = bytes.windows(2).all(|pair| pair[1] == pair[0] + 1 || pair == b"90");
    few(1) || counting || (bytes.len() >= 9 && bytes.ends_with(b"0000000"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_telephone_number_is_its_last_nine_digits() {
        for text in [
            "07304473697",
            "+44 7304 473697",
            "0044 (0)7304 473697",
            "07304 473 697 ext 12",
            "07304473697 / 01162 555555",
            "o73o4473697",
            "0 7304-473-697",
            "07304473697 (mob)",
            "07304473697 home",
            "07304473697 (no texts)",
            "07304473697 or 01162 555555",
            "Txt 07304473697",
            "mob: 07304 473697 (mother)",
        ] {
            assert_eq!(phone(text).as_deref(), Ok("304473697"), "{text}");
        }
        for text in [
            "",
            "473697",
            "473697 ext 123",
            "none",
            "00000000000",
            "07000000000",
            "01234567890",
            "073044736970730447369707304473697",
        ] {
            assert_eq!(phone(text), Err(Note::PhoneForm), "{text}");
        }
    }

    #[test]
    fn an_email_address_has_a_name_and_a_domain() {
        for (text, email_) in [
            (" John.Goodman2@GMAIL.com ", "john.goodman2@gmail.com"),
            ("mailto:a@b.co.uk", "a@b.co.uk"),
        ] {
            assert_eq!(email(text).as_deref(), Ok(email_));
        }
        for text in [
            "liane.nelson12yahoo.co.uk",
            "a@b",
            "a@@b.com",
            "@b.com",
            "a@b..com",
            "a b@c.com",
            "none@none.com",
            "noemail@gmail.com",
            "",
        ] {
            assert_eq!(email(text), Err(Note::EmailForm), "{text}");
        }
    }

    #[test]
    fn other_identifiers_are_letters_and_digits() {
        assert_eq!(other_id("SSN 846-29-8757").as_deref(), Ok("ssn846298757"));
        assert_eq!(other_id("5894229").as_deref(), Ok("5894229"));
        for text in ["", "1234", "unknown", "0000000", "12345678"] {
            assert_eq!(other_id(text), Err(Note::OtherIdForm), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_stays_what_it_is(text in any::<String>(), digits in "[0-9 +/]{0,20}") {
            for text in [text, digits] {
                for read in [email, other_id] {
                    if let Ok(once) = read(&text) {
                        prop_assert_eq!(read(&once), Ok(once.clone()));
                    }
                }
                if let Ok(once) = phone(&text) {
                    prop_assert_eq!(phone(&once), Ok(once.clone()));
                }
            }
        }
    }
}
