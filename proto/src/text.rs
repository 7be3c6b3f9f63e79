//! Text that the other side wrote and people here will read: one line each, and never longer than it
//! may be.
//!
//! A terminal obeys some characters instead of showing them, and a line break makes two lines of one.
//! So what comes over the wire is cleaned where it is read, and whoever prints it need not think of it.

use crate::wire::WireError;

/// The most characters of a sentence in an alert.
pub const SENTENCE_CHARS: usize = 1000;

/// The most characters of a short name, such as that of a rule, a feed or a model.
pub const NAME_CHARS: usize = 64;

/// The most characters of what a peer says about a call that failed.
pub const STATUS_CHARS: usize = 300;

/// What stands for a character that must not be shown.
const HIDDEN: char = '\u{fffd}';

/// Returns whether a text can be shown as it is, on one line: it holds no control character, no break
/// of a line, and nothing that turns the direction of what is around it.
pub fn is_plain(text: &str) -> bool {
    !text.contains(is_odd)
}

/// Returns a text that can be shown on one line: breaks and tabs become spaces, other characters that
/// must not be shown a `�`, and what is more than `most` characters gives way to an `…`.
pub fn plain(text: String, most: usize) -> String {
    // No text has more characters than bytes.
    if text.len() <= most && is_plain(&text) {
        return text;
    }
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        c if is_odd(c) => HIDDEN,
        c => c,
    };
    match text.char_indices().nth(most) {
        None => text.chars().map(shown).collect(),
        Some(_) => {
            let kept = text.chars().take(most.saturating_sub(1));
            kept.map(shown).chain(['…']).collect()
        }
    }
}

/// Refuses a text that cannot be shown on one line, or is longer than it may be.
pub(crate) fn check(
    field: &'static str,
    text: &str,
    (most, rule): (usize, &'static str),
) -> Result<(), WireError> {
    let is_long = text.chars().nth(most).is_some();
    if is_long || !is_plain(text) {
        return Err(WireError::Invalid { field, rule });
    }
    Ok(())
}

fn is_odd(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_kept() {
        let forged = "\u{1b}[2J\u{1b}]0;owned\u{7} there\n  housing \u{9b}1m\u{202e}there\u{7f}";
        let shown = plain(forged.to_owned(), 300);
        assert_eq!(shown, "�[2J�]0;owned� there   housing �1m�there�");
        assert!(is_plain(&shown) && !is_plain(forged));
    }

    #[test]
    fn a_text_is_cut_by_characters_and_an_ordinary_one_is_left_alone() {
        for ordinary in ["", "No.", "Zoë Ångström – 5 × 3 …", "日本語"] {
            assert_eq!(plain(ordinary.to_owned(), 22), ordinary);
        }
        assert_eq!(plain("ééééé".to_owned(), 5), "ééééé");
        assert_eq!(plain("éééééé".to_owned(), 5), "éééé…");
        assert_eq!(plain("x".repeat(1 << 20), 300).chars().count(), 300);
        assert!(check("phone", "ééééé", (5, "short")).is_ok());
        assert!(check("phone", "éééééé", (5, "short")).is_err());
    }
}
