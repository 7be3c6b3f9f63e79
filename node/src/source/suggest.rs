//! Finds what somebody probably meant to write.

/// Returns up to three of `known` that are spelt nearly like `written`, nearest first.
pub(super) fn near<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let written = agreed(written);
    let furthest = (written.len() / 3).max(2);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| (distance(&written, &agreed(name)), name))
        .filter(|(distance, _)| *distance <= furthest)
        .collect();
    near.sort_unstable();
    near.truncate(3);
    near.into_iter().map(|(_, name)| name).collect()
}

/// Returns `; did you mean …?`, or nothing where nothing is near.
pub(super) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match &near(written, known)[..] {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        several => format!("; did you mean one of `{}`?", several.join("`, `")),
    }
}

fn agreed(text: &str) -> Vec<u8> {
    let word = |b: &u8| b.is_ascii_alphanumeric();
    text.bytes().take(64).filter(word).map(|b| b.to_ascii_lowercase()).collect()
}

/// Counts the letters to add, drop or change to make one text the other.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name() {
        let columns = ["FORENAME1", "SURNAME", "DOB"];
        assert_eq!(near("Forename_1", columns), ["FORENAME1"]);
        assert_eq!(near("SURENAME", columns), ["SURNAME"]);
        assert!(near("POSTCODE", columns).is_empty());
        assert_eq!(did_you_mean("D.O.B", columns), "; did you mean `DOB`?");
    }
}
