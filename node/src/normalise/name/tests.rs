use super::*;

/// Writes names as `forename.middle.surname[parts]`, with `?` for what is missing.
fn written(names: &[Name]) -> Vec<String> {
    names
        .iter()
        .map(|name| {
            let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".into());
            let mut text = part(&name.forename);
            if let Some(middle) = &name.middle {
                text += &format!(".{middle}");
            }
            text += &format!(".{}", part(&name.surname));
            if !name.surname_parts.is_empty() {
                text += &format!("[{}]", name.surname_parts.join(" "));
            }
            text
        })
        .collect()
}

fn read_raw(raw: &RawPerson) -> (NamesRead, Notes) {
    let mut notes = Notes::default();
    let read = read(raw, &mut notes);
    (read, notes)
}

fn parts(forename: &str, middle: &str, surname: &str) -> RawPerson {
    RawPerson {
        forename: forename.into(),
        middle: middle.into(),
        surname: surname.into(),
        ..RawPerson::default()
    }
}

fn whole(full_name: &str) -> RawPerson {
    RawPerson { full_name: full_name.into(), ..RawPerson::default() }
}

fn names_of(raw: &RawPerson) -> Vec<String> {
    written(&read_raw(raw).0.names)
}

#[test]
fn parts_of_a_name_are_told_apart() {
    for (forename, middle, surname, expected) in [
        ("CAROL", "ANNE", "DENHOLM", "carol.anne.denholm"),
        ("Mary Jane", "", "Smith", "mary.jane.smith"),
        ("Mary Jane", "Ann", "Smith", "mary.janeann.smith"),
        ("Mary", "Jane Ann", "Smith", "mary.janeann.smith"),
        ("Mary Jane", "Jane", "Smith", "mary.jane.smith"),
        ("Jean-Claude", "", "Petit", "jean.claude.petit"),
        ("E", "J", "Wilcox", "e.j.wilcox"),
        ("J.P.", "", "Carver", "j.p.carver"),
        ("C", "", "Price", "c.price"),
        ("Carol Denholm-Price", "", "Denholm Price", "carol.denholmprice[denholm price]"),
        ("Price", "", "Price", "price.price"),
        ("", "", "Price", "?.price"),
        ("Carol", "", "", "carol.?"),
    ] {
        assert_eq!(names_of(&parts(forename, middle, surname)), [expected], "{forename} {surname}");
    }
    let (read, _) = read_raw(&parts("C", "", "Price"));
    assert!(read.names[0].forename_initial_only);
    assert!(names_of(&RawPerson::default()).is_empty());
}

#[test]
fn titles_and_suffixes_are_no_names() {
    for (raw, expected) in [
        (parts("Mrs Carol", "", "Price"), "carol.price"),
        (parts("Dr", "", "Price"), "?.price"),
        (parts("Carol", "", "Mrs Price"), "carol.price"),
        (parts("John", "", "Carver Jr"), "john.carver"),
        (parts("John Jnr.", "", "Carver"), "john.carver"),
        (parts("John", "", "Carver III"), "john.carver"),
        (parts("John", "", "Carver MBE"), "john.carver"),
        (parts("John", "", "Carver (DEC)"), "john.carver"),
        (parts("John", "Jr", "Carver"), "john.carver"),
        (parts("Di", "", "Price"), "di.price"),
        (parts("Junior", "", "Price"), "junior.price"),
        (parts("John", "", "Senior"), "john.senior"),
        (whole("Mr John Michael Carver"), "john.michael.carver"),
        (whole("Rev. Sir John Carver OBE"), "john.carver"),
        (whole("Mr Carver"), "?.carver"),
        (whole("DI John Carver"), "john.carver"),
        (whole("Di Carver"), "di.carver"),
        (whole("John Senior"), "john.senior"),
        (whole("John Carver Senior"), "john.carver"),
        (whole("Cllr Ms Carol Price"), "carol.price"),
        (whole("Dean Anthony Smith"), "dean.anthony.smith"),
        (whole("Prince Kwame Mensah"), "prince.kwame.mensah"),
        (whole("Major Singh Gill"), "major.singh.gill"),
        (whole("John Carver, Jr"), "john.carver"),
        (whole("John Carver, MBE"), "john.carver"),
        (whole("Carol Price, Mrs"), "carol.price"),
        (whole("CARVER, JUNIOR"), "junior.carver"),
        (parts("John", "", "Carver, Jr"), "john.carver"),
        (parts("John", "", "Lord-Taylor"), "john.lordtaylor[lord taylor]"),
    ] {
        assert_eq!(names_of(&raw), [expected]);
    }
}

#[test]
fn a_suffix_tells_the_generation_and_a_title_may() {
    use Generation::{Junior, Senior};
    for (raw, generation) in [
        (parts("John", "", "Carver Jr"), Some(Junior)),
        (parts("John", "", "Carver (Snr)"), Some(Senior)),
        (parts("John", "", "Carver SR"), Some(Senior)),
        (whole("John Carver Junior"), Some(Junior)),
        (whole("CARVER, JOHN JNR"), Some(Junior)),
        (whole("John Carver, Jr"), Some(Junior)),
        (parts("John", "", "Carver, Snr"), Some(Senior)),
        (whole("CARVER, JUNIOR"), None),
        (parts("Sr", "", "Agnes"), None),
        (parts("John", "", "Carver III"), None),
        (RawPerson { title: "Mr Jnr".into(), ..parts("John", "", "Carver") }, Some(Junior)),
    ] {
        assert_eq!(read_raw(&raw).0.generation, generation);
    }
}

#[test]
fn a_whole_name_is_taken_apart() {
    for (full, expected) in [
        ("DENHOLM, CAROL ANNE", "carol.anne.denholm"),
        ("Denholm,Carol", "carol.denholm"),
        ("DENHOLM, MRS CAROL", "carol.denholm"),
        ("DENHOLM, CAROL, MRS", "carol.denholm"),
        ("Carol Anne Denholm", "carol.anne.denholm"),
        ("Carol Denholm-Price", "carol.denholmprice[denholm price]"),
        ("Carol Denholm - Price", "carol.denholmprice[denholm price]"),
        ("Jan van der Berg", "jan.vanderberg"),
        ("Tariq Al-Hassan", "tariq.alhassan"),
        ("Tariq Al Hassan", "tariq.alhassan"),
        ("Shaun Mc Donald", "shaun.mcdonald"),
        ("John Ben Smith", "john.ben.smith"),
        ("Juan de la Cruz", "juan.delacruz"),
        ("Maria da Silva", "maria.dasilva"),
        ("Oliver St John", "oliver.stjohn"),
        ("Shaun O Neill", "shaun.oneill"),
        ("Shaun O Smith", "shaun.o.smith"),
        ("Thi La Nguyen", "thi.la.nguyen"),
        ("St John Price", "st.john.price"),
        ("P Venn", "p.venn"),
        ("Denholm", "?.denholm"),
    ] {
        assert_eq!(names_of(&whole(full)), [expected], "{full}");
    }
    assert_eq!(names_of(&parts("", "", "DENHOLM, CAROL ANNE")), ["carol.anne.denholm"]);
    assert_eq!(names_of(&parts("", "", "Mr P Venn")), ["p.venn"]);
    assert_eq!(names_of(&parts("DENHOLM, CAROL", "", "")), ["carol.denholm"]);
}

#[test]
fn a_surname_is_joined_and_its_longer_parts_kept() {
    for (surname, expected) in [
        ("Denholm-Price", "c.denholmprice[denholm price]"),
        ("DENHOLM PRICE", "c.denholmprice[denholm price]"),
        ("Denholm/Price", "c.denholmprice[denholm price]"),
        ("O'Neill", "c.oneill"),
        ("O’NEILL", "c.oneill"),
        ("O NEILL", "c.oneill"),
        ("MC DONALD", "c.mcdonald"),
        ("Mac Donald", "c.macdonald"),
        ("van der Berg", "c.vanderberg"),
        ("de la Cruz", "c.delacruz"),
        ("Al-Hassan", "c.alhassan"),
        ("St. John", "c.stjohn"),
        ("Saint John", "c.stjohn"),
        ("St John-Stevas", "c.stjohnstevas[stjohn stevas]"),
        ("Saint", "c.saint"),
        ("Ng Wu", "c.ngwu"),
        ("Garcia de la Torre", "c.garciadelatorre[garcia delatorre]"),
    ] {
        assert_eq!(names_of(&parts("C", "", surname)), [expected], "{surname}");
    }
}

#[test]
fn placeholders_are_missing() {
    for (forename, surname, expected) in [
        ("UNKNOWN", "OCCUPIER", &[][..]),
        ("REFUGE", "RESIDENT", &[]),
        ("N/K", "N/K", &[]),
        ("Not known", "Smith", &["?.smith"]),
        ("John", "NOT KNOWN", &["john.?"]),
        ("XXX", "Smith", &["?.smith"]),
        ("TBC", "tba", &[]),
        ("Test", "Test", &[]),
        ("John", "DO NOT USE", &["john.?"]),
        ("ZZZ DO NOT USE", "Smith", &["?.smith"]),
        ("John", "Smith (DUPLICATE)", &["john.smith"]),
        ("adult male", "Smith", &["?.smith"]),
        ("son of", "Smith", &["?.smith"]),
        ("lady of the house", "Smith", &["?.smith"]),
        ("The", "Tenant", &["the.?"]),
        ("FNU", "Singh", &["?.singh"]),
        ("N K", "Smith", &["n.k.smith"]),
        ("Son", "Kim", &["son.kim"]),
    ] {
        let (read, notes) = read_raw(&parts(forename, "", surname));
        assert_eq!(written(&read.names), expected, "{forename} {surname}");
        let placeholder = !matches!(forename, "N K" | "Son");
        assert_eq!(notes.has(Note::NamePlaceholder), placeholder, "{forename} {surname}");
        assert!(!read.newborn);
    }
    assert!(names_of(&whole("Unknown Occupier")).is_empty());
    assert!(names_of(&whole("The Occupier")).is_empty());
    assert_eq!(names_of(&whole("Unknown Smith")), ["?.smith"]);
    assert_eq!(names_of(&whole("John Unknown")), ["john.?"]);
}

#[test]
fn a_newborn_has_the_mothers_surname_and_no_forename() {
    for (raw, expected) in [
        (parts("BABY OF", "", "MARSH"), &["?.marsh"][..]),
        (parts("B/O", "", "MARSH"), &["?.marsh"]),
        (parts("Baby", "", "Marsh"), &["?.marsh"]),
        (parts("Baby Girl", "", "Marsh"), &["?.marsh"]),
        (parts("Male Infant", "", "Marsh"), &["?.marsh"]),
        (parts("Twin A", "", "Marsh"), &["?.marsh"]),
        (parts("TWIN ONE", "", "Marsh"), &["?.marsh"]),
        (parts("Baby of Leanne", "", "Marsh"), &["?.marsh"]),
        (parts("BABY OF MARSH", "", ""), &["?.marsh"]),
        (parts("", "", "BABY MARSH"), &["?.marsh"]),
        (whole("BABY OF MARSH"), &["?.marsh"]),
        (whole("BABY OF LEANNE MARSH"), &["?.marsh"]),
        (whole("B/O MARSH"), &["?.marsh"]),
        (whole("BABY MARSH"), &["?.marsh"]),
        (whole("BABY MARSH-TANNER"), &["?.marshtanner[marsh tanner]"]),
        (whole("TWIN A MARSH"), &["?.marsh"]),
        (whole("MARSH, BABY BOY"), &["?.marsh"]),
        (RawPerson { title: "Baby".into(), ..parts("Pip", "", "Marsh") }, &["pip.marsh"]),
    ] {
        let (read, _) = read_raw(&raw);
        assert_eq!(written(&read.names), expected);
        assert!(read.newborn);
    }
    for (raw, twin) in [
        (parts("Twin A", "", "Marsh"), Some(1)),
        (whole("TWIN TWO MARSH"), Some(2)),
        (parts("Baby A", "", "Marsh"), None),
    ] {
        assert_eq!(read_raw(&raw).0.twin, twin);
    }
}

#[test]
fn other_names_are_further_names() {
    for (raw, expected) in [
        (
            RawPerson { alias: "DAZ PIKE".into(), ..parts("DARREN", "", "PIKE") },
            &["darren.pike", "daz.pike"][..],
        ),
        (
            RawPerson { alias: "PIKE, DAZ; Dazza".into(), ..parts("DARREN", "", "PIKE") },
            &["darren.pike", "daz.pike", "dazza.pike"],
        ),
        (
            RawPerson { alias: "aka Price".into(), ..parts("Carol", "Ann", "Denholm") },
            &["carol.ann.denholm", "carol.ann.price"],
        ),
        (RawPerson { alias: "N/A".into(), ..parts("Carol", "", "Denholm") }, &["carol.denholm"]),
        (
            parts("Rosalind (Rosie)", "", "Denholm-Price"),
            &["rosalind.denholmprice[denholm price]", "rosie.denholmprice[denholm price]"],
        ),
        (parts("William 'Bill'", "", "Smith"), &["william.smith", "bill.smith"]),
        (parts("Leanne", "", "Marsh (née Tanner)"), &["leanne.marsh", "leanne.tanner"]),
        (parts("Leanne", "", "Marsh NEE Tanner"), &["leanne.marsh", "leanne.tanner"]),
        (whole("Leanne Marsh formerly Tanner"), &["leanne.marsh", "leanne.tanner"]),
        (whole("Carol Denholm aka Carole Price"), &["carol.denholm", "carole.price"]),
        (whole("William \"Bill\" Smith"), &["william.smith", "bill.smith"]),
        (whole("Carol Denholm (Price)"), &["carol.denholm", "carol.price"]),
        (parts("Jayden known as Jay", "", "Tanner"), &["jayden.tanner", "jay.tanner"]),
        (parts("Carol (Carol)", "", "Price"), &["carol.price"]),
        (parts("Carol (2)", "", "Price (F)"), &["carol.price"]),
        (parts("Jin", "", "Nee"), &["jin.nee"]),
    ] {
        assert_eq!(names_of(&raw), expected);
    }
}

#[test]
fn a_joint_record_keeps_surnames_only() {
    for (raw, expected) in [
        (whole("Mr & Mrs Smith"), &["?.smith"][..]),
        (whole("Mr J & Mrs A Smith"), &["?.smith"]),
        (whole("J Smith & M Jones"), &["?.smith", "?.jones"]),
        (whole("J Smith and M Smith"), &["?.smith"]),
        (parts("John & Mary", "", "Smith"), &["?.smith"]),
    ] {
        let (read, notes) = read_raw(&raw);
        assert_eq!(written(&read.names), expected);
        assert!(notes.has(Note::NameJoint));
    }
    assert_eq!(names_of(&whole("Alexander Sanderson")), ["alexander.sanderson"]);
}

#[test]
fn letters_that_nobody_can_read_are_missing_and_said() {
    let (read, notes) = read_raw(&parts("\u{fffd}", "", "Khan"));
    assert_eq!(written(&read.names), ["?.khan"]);
    assert!(notes.has(Note::NameScript));
    let (read, notes) = read_raw(&parts("芳", "", "王"));
    assert_eq!(written(&read.names), ["fang.wang"]);
    assert!(!notes.has(Note::NameScript));
}

#[test]
fn forename_and_surname_can_be_exchanged_when_both_are_whole() {
    let name = |raw| read_raw(&raw).0.names[0].clone();
    let exchanged = name(parts("Carol", "", "Denholm")).transposed().unwrap();
    assert_eq!(written(&[exchanged]), ["denholm.carol"]);
    assert_eq!(name(parts("C", "", "Denholm")).transposed(), None);
    assert_eq!(name(parts("", "", "Denholm")).transposed(), None);
}

#[test]
fn no_record_has_more_than_eight_names() {
    let alias = ('a'..='z').map(|c| format!("{c}{c}b")).collect::<Vec<_>>().join(";");
    let raw = RawPerson { alias, ..parts("Carol", "", "Denholm") };
    assert_eq!(names_of(&raw).len(), MOST_NAMES);
}
