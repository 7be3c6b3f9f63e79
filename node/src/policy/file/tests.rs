use causeway_proto::catalogue::SignalCode;

use super::*;
use crate::store::events::PersonEvent;

const POLICE: &str = r#"
    [node]
    id = "midshire-police"
    controller = "Chief Constable"
    ico_ref = "Z0000000"
    regime = "part3"

    [purpose.adult_safeguarding]
    lawful_basis = "6(1)(e)"
    gateway = "care_act_s45"
    dsa_ref = "DSA-014"
    expires = "2027-03-31"

    [purpose.asb_hate]
    lawful_basis = "6(1)(e)"

    [release]
    default = "deny"

    [[release.rule]]
    code = "POL_ASB_VICTIM"
    purpose = ["adult_safeguarding", "asb_hate"]
    max_age_days = 730
    detail = "code+day"
    roles_excluded = ["WITNESS", "REPORTER"]

    [[release.rule]]
    code = ["POL_SUSPECT_VIOLENCE", "POL_DRUG_WARRANT"]
    purpose = ["adult_safeguarding"]
    disclosure = "counted"

    [[release.rule]]
    code = "POL_MH_CALLOUT"
    purpose = ["adult_safeguarding"]
    needs = "second_approver"

    [kill]
    local = false
    on_stale_feed_hours = 72
"#;

fn parse(text: &str) -> Result<Policy, String> {
    Policy::parse(text, &"midshire-police".parse().unwrap(), AgencyKind::Police).map_err(|fault| {
        match fault {
            Fault::Syntax(error) => error.to_string(),
            Fault::Rule(fault) => fault,
        }
    })
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn event(code: &str, start: &str) -> PersonEvent {
    let code: SignalCode = code.parse().unwrap();
    PersonEvent {
        person: 1,
        row: 0,
        feed: "crimes".into(),
        reference: "POL1".into(),
        code,
        suspect: code.spec().of_suspect,
        start: day(start),
        end: None,
        confidence_permille: 1000,
        arrived: None,
        system: None,
        deceased: None,
    }
}

const ADULTS: &[Purpose] = &[Purpose::AdultSafeguarding];

#[test]
fn what_no_rule_names_is_not_said() {
    let policy = parse(POLICE).unwrap();
    let as_at = day("2025-02-25");
    let told = |code: &str, asked: &[Purpose]| {
        policy.release(&event(code, "2025-02-19"), asked, as_at).map(|told| told.start)
    };
    assert_eq!(told("POL_ASB_VICTIM", ADULTS), Some(day("2025-02-19")));
    assert_eq!(told("POL_ASB_VICTIM", &[Purpose::ChildSafeguarding]), None);
    assert_eq!(told("POL_HATE_INCIDENT", ADULTS), None);
    assert_eq!(told("POL_MH_CALLOUT", ADULTS), None, "nobody approved it twice");
    assert_eq!(told("POL_DRUG_WARRANT", ADULTS), Some(day("2025-02-15")), "the month only");
    let withheld = policy.withheld(AgencyKind::Police, ADULTS);
    assert!(withheld.contains(&"POL_MH_CALLOUT".parse().unwrap()));
    assert!(!withheld.contains(&"POL_ASB_VICTIM".parse().unwrap()));
}

#[test]
fn a_purpose_ends_with_its_agreement() {
    let policy = parse(POLICE).unwrap();
    let [last, after] = ["2027-03-31", "2027-04-01"].map(|on| policy.in_force(day(on)));
    assert_eq!(last.allowed(ADULTS), ADULTS);
    assert_eq!(after.allowed(ADULTS), []);
    assert_eq!(last.allowed(&[Purpose::MultipleDisadvantage]), []);
    // Its rules end with it, also for an event of a time when it was in force.
    let asb = event("POL_ASB_VICTIM", "2027-02-19");
    let told = |policy: &Policy, asked| policy.release(&asb, asked, day("2027-02-25")).is_some();
    assert!(told(&last, ADULTS) && !told(&after, ADULTS));
    assert!(told(&after, &[Purpose::AsbHate]), "that one has no end");
}

#[test]
fn what_is_amiss_is_said_before_a_sweep_fails_of_it() {
    let one = POLICE.replace("    [purpose.asb_hate]\n    lawful_basis = \"6(1)(e)\"\n", "");
    let one = one.replace(", \"asb_hate\"", "").replace("Chief Constable", "FILL IN: who");
    let policy = parse(&one.replace("DSA-014", "FILL IN")).unwrap();
    let concerns = |on: &str| -> Vec<(bool, String)> {
        let concerns = policy.concerns(day(on)).into_iter();
        concerns.map(|concern| (concern.is_fatal, concern.message)).collect()
    };
    let unfilled = [
        (false, "[node] controller still says FILL IN".to_owned()),
        (false, "[purpose.adult_safeguarding] dsa_ref still says FILL IN".to_owned()),
    ];
    assert_eq!(concerns("2027-03-01"), unfilled);
    let soon = concerns("2027-03-02");
    assert_eq!(soon.len(), 3);
    assert!(soon[0].1.contains("adult_safeguarding] ends after 2027-03-31"), "{soon:?}");
    assert!(!concerns("2027-03-31")[0].0, "its last day is one of its days");
    let ended = concerns("2027-04-01");
    assert!(ended[0].0 && ended[0].1.contains("takes part in no sweep"), "{ended:?}");
    assert!(parse(POLICE).unwrap().concerns(day("2027-04-01")).iter().all(|c| !c.is_fatal));
}

#[test]
fn a_node_that_is_stopped_is_said_to_be_first() {
    let stopped = parse(&POLICE.replace("local = false", "local = true")).unwrap();
    let concerns = stopped.concerns(day("2025-02-25"));
    assert!(concerns[0].is_fatal && concerns[0].message.contains("stopped"), "{concerns:?}");
    assert!(!parse(POLICE).unwrap().killed);
}

#[test]
fn old_future_and_posthumous_events_and_wrong_roles_are_not_said() {
    let policy = parse(POLICE).unwrap();
    let as_at = day("2025-02-25");
    let told = |event: &PersonEvent| policy.release(event, ADULTS, as_at).is_some();
    assert!(told(&event("POL_ASB_VICTIM", "2023-02-26")));
    assert!(!told(&event("POL_ASB_VICTIM", "2023-02-25")));
    assert!(!told(&event("POL_ASB_VICTIM", "2025-02-26")));
    let dead =
        PersonEvent { deceased: Some(day("2025-02-01")), ..event("POL_ASB_VICTIM", "2025-02-19") };
    assert!(!told(&dead));
    let suspect = PersonEvent { suspect: true, ..event("POL_ASB_VICTIM", "2025-02-19") };
    assert!(!told(&suspect));
}

#[test]
fn a_state_ends_with_whoever_was_in_it() {
    let housing = "[node]\nid = \"housing\"\ncontroller = \"Council\"\nregime = \"part2\"\n\
                   [purpose.adult_safeguarding]\nlawful_basis = \"6(1)(e)\"\n\
                   [release]\ndefault = \"deny\"\n[[release.rule]]\ncode = \"HOU_NSP\"\n\
                   purpose = [\"adult_safeguarding\"]\nmax_age_days = 30\ndetail = \"code+day\"\n";
    let parsed = Policy::parse(housing, &"housing".parse().unwrap(), AgencyKind::Housing);
    let policy = parsed.ok().unwrap();
    let notice = event("HOU_NSP", "2024-06-01");
    let died = PersonEvent { deceased: Some(day("2025-02-01")), ..notice.clone() };
    let end = |event: &PersonEvent, on| policy.release(event, ADULTS, day(on)).map(|it| it.end);
    assert_eq!(end(&notice, "2025-02-25"), Some(None));
    assert_eq!(end(&died, "2025-01-31"), Some(None), "nobody knew then");
    assert_eq!(end(&died, "2025-02-25"), Some(Some(day("2025-02-01"))));
    assert_eq!(end(&died, "2025-03-04"), None, "and grows old from there");
    let before = PersonEvent { end: Some(day("2025-01-20")), ..died };
    assert_eq!(end(&before, "2025-02-01"), Some(Some(day("2025-01-20"))));
}

#[test]
fn what_is_told_says_until_when_and_no_more_of_its_day_than_it_told() {
    let policy = parse(POLICE).unwrap();
    let told = |event: &PersonEvent| policy.release(event, ADULTS, day("2025-02-25"));
    let until = |event: &PersonEvent| told(event).unwrap().until;
    let asb = event("POL_ASB_VICTIM", "2024-02-19");
    assert_eq!(until(&asb), Some(day("2026-02-18")));
    let last = |on: &str| policy.release(&asb, ADULTS, day(on)).is_some();
    assert!(last("2026-02-18") && !last("2026-02-19"));
    let [early, late] = ["2024-02-02", "2024-02-28"].map(|on| event("POL_DRUG_WARRANT", on));
    assert_eq!(told(&early), told(&late), "the month only");
    assert_eq!(until(&early), Some(day("2024-02-01").plus(730)));
    for event in [&early, &late] {
        let told = |on: Day| policy.release(event, ADULTS, on).is_some();
        let last = day("2024-02-01").plus(730);
        assert!(told(last) && !told(last.plus(1)), "both vanish on one day");
    }
}

#[test]
fn a_file_that_cannot_be_followed_is_refused_with_the_reason() {
    let cases = [
        ("local = false", "locally = true", "locally"),
        ("local = false", "honour_remote = false", "honour_remote is not followed"),
        ("[kill]", "[subjects]\nrestrict = [\"refuge\"]\n[kill]", "by the mark"),
        ("[kill]", "[thresholds]\nmax_queries_per_day = 1\n[kill]", "[thresholds] is not"),
        ("[kill]", "[audit]\nretain_days = 2555\n[kill]", "[audit] is not followed"),
        (r#"default = "deny""#, r#"default = "allow""#, "has to be \"deny\""),
        (r#"id = "midshire-police""#, r#"id = "housing""#, "this node is `midshire-police`"),
        (r#"code = "POL_ASB_VICTIM""#, r#"code = "NHS_WNB""#, "it belongs to nhs"),
        (
            r#"code = "POL_ASB_VICTIM""#,
            r#"code = "POL_ASBVICTIM""#,
            "`POL_ASBVICTIM` is not one of the 75 codes",
        ),
        (r#""POL_DRUG_WARRANT"]"#, r#""POL_DRUGS"]"#, "`POL_DRUGS` is not one of the 75 codes"),
        (r#"code = "POL_ASB_VICTIM""#, "code = 7", "a code of the signal catalogue, or a list"),
        (r#"lawful_basis = "6(1)(e)""#, r#"lawful_basis = "6(1)(ea)""#, "legitimate interests"),
        (r#"lawful_basis = "6(1)(e)""#, r#"lawful_basis = "6(1)(a)""#, "consent"),
        (
            r#"["adult_safeguarding"]"#,
            r#"["child_safeguarding"]"#,
            "no [purpose.child_safeguarding]",
        ),
        (r#"detail = "code+day""#, r#"detail = "everything""#, "detail is"),
        (r#""POL_DRUG_WARRANT"]"#, r#""POL_ASB_VICTIM"]"#, "two rules"),
        (
            "[kill]",
            "[[release.rule]]\ncode = \"POL_MH_CALLOUT\"\npurpose = [\"asb_hate\"]\n[kill]",
            "POL_MH_CALLOUT has two rules",
        ),
    ];
    for (from, to, why) in cases {
        assert!(POLICE.contains(from), "{from}");
        let refused = parse(&POLICE.replacen(from, to, 1)).err();
        let refused = refused.unwrap_or_else(|| panic!("accepted {to}"));
        assert!(refused.contains(why), "{to}: {refused}");
    }
}

#[test]
fn a_child_is_in_one_band() {
    let born = day("2024-11-02");
    let died = Some(day("2030-05-01"));
    let band = |on: &str| super::super::child_band(born, day(on));
    assert_eq!(band("2025-11-01"), Some(SignalCode::CHILD_U1));
    assert_eq!(band("2025-11-02"), Some(SignalCode::CHILD_U5));
    assert_eq!(band("2029-11-02"), Some(SignalCode::CHILD_U18));
    assert_eq!(band("2042-11-02"), None);
    assert_eq!(band("2024-11-01"), None, "not born yet");
    let band = |on: &str| super::super::living_child_band(born, died, day(on));
    assert_eq!(band("2030-04-30"), Some(SignalCode::CHILD_U18));
    assert_eq!(band("2030-05-01"), None, "not any more");
}
