use super::*;

fn words(folded: &str) -> Vec<String> {
    split(folded)
        .into_iter()
        .map(|word| if word.tied { format!("-{}", word.text) } else { word.text })
        .collect()
}

#[test]
fn only_letters_remain_and_hyphens_tie() {
    for (folded, expected) in [
        ("o'neill", &["oneill"][..]),
        ("denholm-price", &["denholm", "-price"]),
        ("denholm - price", &["denholm", "-price"]),
        ("denholm- price", &["denholm", "-price"]),
        ("j.p. smith", &["j", "p", "smith"]),
        ("smith/jones", &["smith", "-jones"]),
        ("st. john", &["st", "john"]),
        ("b/o marsh", &["baby", "of", "marsh"]),
        ("henry 3rd", &["henry"]),
        ("  -- ", &[]),
    ] {
        assert_eq!(words(folded), expected, "{folded}");
    }
}

#[test]
fn digits_for_letters_are_read_and_numbering_is_dropped() {
    for (folded, expected) in [
        ("ash1ey", "ashley"),
        ("santi1lan", "santillan"),
        ("w1lliam", "william"),
        ("ed9ar", "edgar"),
        ("che|sea", "chelsea"),
        ("4iden", "aiden"),
        ("j0hn", "john"),
        ("smith2", "smith"),
        ("2smith", "smith"),
    ] {
        assert_eq!(words(folded), [expected], "{folded}");
    }
}

#[test]
fn fields_that_say_there_is_no_name() {
    for none in [
        "n/k",
        "n/a",
        "not known",
        "do not use",
        "smith do not use",
        "to be confirmed",
        "adult male",
        "respondent",
        "inmate",
        "daughter",
        "son of",
        "lady of the house",
        "child f",
        "the occupier",
        "x x",
        "unknown female",
        "test duplicate",
    ] {
        assert!(is_no_name(none, &split(none)), "{none}");
    }
    for name in ["son", "man", "mary ann", "m f", "an na", "unknown smith", "e j", "n k"] {
        assert!(!is_no_name(name, &split(name)), "{name}");
    }
}
