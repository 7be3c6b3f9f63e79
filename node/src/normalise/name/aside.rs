//! Takes other names out of a name field: what stands in brackets or quotes, and what follows
//! `aka`, `née`, `formerly` and the like.

/// How another name was introduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intro {
    /// `née`, `formerly`: a former surname.
    Former,
    /// Brackets, quotes, `aka`, `known as`: any kind of name.
    Known,
}

/// Another name found in a field, folded but not yet split.
pub(super) struct Aside {
    pub(super) intro: Intro,
    pub(super) text: String,
}

/// Splits a folded field into the name itself and the asides in it.
pub(super) fn split_off(folded: &str) -> (String, Vec<Aside>) {
    let mut asides = Vec::new();
    let outside = if folded.contains(['(', '[', '{', '"', '\'']) {
        without_enclosed(folded, &mut asides)
    } else {
        folded.to_owned()
    };
    let main = without_introduced(&outside, &mut asides);
    (main, asides)
}

/// Moves what stands in brackets or quotes into `asides`.
fn without_enclosed(folded: &str, asides: &mut Vec<Aside>) -> String {
    let mut main = String::with_capacity(folded.len());
    let mut rest = folded;
    while let Some(open) = rest.find(['(', '[', '{', '"', '\'']) {
        let (before, from) = rest.split_at(open);
        let inner = &from[1..];
        let end = match from.as_bytes()[0] {
            b'(' => inner.find(')').or(Some(inner.len())),
            b'[' => inner.find(']').or(Some(inner.len())),
            b'{' => inner.find('}').or(Some(inner.len())),
            b'"' => inner.find('"'),
            _ if before.is_empty() && main.is_empty() || before.ends_with(' ') => {
                closing_quote(inner)
            }
            _ => None,
        };
        main.push_str(before);
        match end {
            Some(end) => {
                take(&inner[..end], asides);
                main.push(' ');
                rest = inner.get(end + 1..).unwrap_or("");
            }
            None => {
                main.push_str(&from[..1]);
                rest = inner;
            }
        }
    }
    main.push_str(rest);
    main
}

/// Finds a single quote that ends a word: the other end of `'Bill'`, not the one in `O'Neill`.
fn closing_quote(inner: &str) -> Option<usize> {
    inner.match_indices('\'').map(|(at, _)| at).find(|at| {
        *at > 0 && inner[at + 1..].chars().next().is_none_or(|c| !c.is_ascii_alphanumeric())
    })
}

/// Notes what stood in brackets or quotes; it may begin with its own introduction.
fn take(inner: &str, asides: &mut Vec<Aside>) {
    let known = without_introduced(inner, asides);
    if !known.trim().is_empty() {
        asides.push(Aside { intro: Intro::Known, text: known });
    }
}

/// Moves what follows an introducing word into `asides`.
fn without_introduced(folded: &str, asides: &mut Vec<Aside>) -> String {
    let tokens: Vec<&str> = folded.split_whitespace().collect();
    let Some((first, _, _)) = next_intro(&tokens, 0) else {
        return folded.to_owned();
    };
    let mut at = first;
    while let Some((start, length, intro)) = next_intro(&tokens, at) {
        let from = start + length;
        let to = next_intro(&tokens, from).map_or(tokens.len(), |(next, _, _)| next);
        let text = tokens[from..to].join(" ");
        if !text.is_empty() {
            asides.push(Aside { intro, text });
        }
        at = to;
    }
    tokens[..first].join(" ")
}

/// Finds the next introducing word at or after `from`: where, how many tokens, and which kind.
fn next_intro(tokens: &[&str], from: usize) -> Option<(usize, usize, Intro)> {
    let token =
        |at: usize| tokens.get(at).map_or("", |token| token.trim_matches([':', ',', ';', '-']));
    (from..tokens.len()).find_map(|at| {
        let (length, intro) = match (token(at), token(at + 1), token(at + 2)) {
            ("also", "known", "as") => (3, Intro::Known),
            ("known" | "goes", "as" | "by", _) => (2, Intro::Known),
            ("a", "k", "a") => (3, Intro::Known),
            ("aka" | "a.k.a" | "a.k.a." | "a/k/a" | "alias" | "k/a", ..) => (1, Intro::Known),
            ("formerly" | "previously", "known", "as") => (3, Intro::Former),
            ("formerly" | "previously" | "fka", ..) => (1, Intro::Former),
            // Also a surname: only an introduction where something follows.
            ("nee", next, _) if !next.is_empty() => (1, Intro::Former),
            _ => return None,
        };
        Some((at, length, intro))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_quotes_and_words_introduce_other_names() {
        use Intro::{Former, Known};
        for (folded, name, others) in [
            ("carol denholm aka carole price", "carol denholm", &[(Known, "carole price")][..]),
            ("carol a.k.a. caz alias kaz", "carol", &[(Known, "caz"), (Known, "kaz")]),
            ("rosalind (rosie)", "rosalind", &[(Known, "rosie")]),
            ("rosalind [rosie", "rosalind", &[(Known, "rosie")]),
            ("william \"bill\" smith", "william smith", &[(Known, "bill")]),
            ("william 'bill' smith", "william smith", &[(Known, "bill")]),
            ("marsh (nee tanner)", "marsh", &[(Former, "tanner")]),
            ("leanne marsh nee tanner", "leanne marsh", &[(Former, "tanner")]),
            ("marsh formerly tanner", "marsh", &[(Former, "tanner")]),
            ("jayden known as: jay", "jayden", &[(Known, "jay")]),
            ("o'neill", "o'neill", &[]),
            ("d'arcy o'neill", "d'arcy o'neill", &[]),
            ("nee", "nee", &[]),
            ("alan turing", "alan turing", &[]),
        ] {
            let (main, asides) = split_off(folded);
            assert_eq!(main.split_whitespace().collect::<Vec<_>>().join(" "), name, "{folded}");
            let found: Vec<_> =
                asides.iter().map(|aside| (aside.intro, aside.text.trim())).collect();
            assert_eq!(found, others, "{folded}");
        }
    }

    #[test]
    fn an_alias_field_may_begin_with_the_introduction() {
        let (main, asides) = split_off("aka daz pike");
        assert_eq!(main, "");
        assert_eq!(asides.len(), 1);
        assert_eq!((asides[0].intro, asides[0].text.as_str()), (Intro::Known, "daz pike"));
    }
}
