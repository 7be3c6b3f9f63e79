//! Reading the policy file. Every key is known, or the file is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use causeway_proto::{
    catalogue::{AgencyKind, Purpose, ReleaseDefault, SignalCode},
    day::Day,
    ids::AgencyId,
    signal::Disclosure,
};
use serde::Deserialize;

use super::{Detail, Policy, Rule, Scope};

/// The policy file cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It could not be read.
    #[error("could not read policy file {}: nothing is released without one", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not TOML of the known shape.
    #[error("in policy file {}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// It says something that cannot be followed.
    #[error("in policy file {}: {fault}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What, and what to do.
        fault: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Node,
    #[serde(default)]
    purpose: BTreeMap<Purpose, PurposeSection>,
    release: Release,
    #[serde(default)]
    scope: ScopeSection,
    #[serde(default)]
    subjects: Subjects,
    #[serde(default)]
    disclose: Disclose,
    #[serde(default)]
    #[expect(dead_code, reason = "enforced by a later version")]
    thresholds: Thresholds,
    #[serde(default)]
    kill: Kill,
    #[serde(default)]
    #[expect(dead_code, reason = "enforced by a later version")]
    audit: Audit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    id: AgencyId,
    controller: String,
    #[serde(default)]
    #[expect(dead_code, reason = "kept for the public record that is made from the file")]
    ico_ref: String,
    regime: Regime,
}

/// Which part of the Data Protection Act 2018 the controller works under.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Regime {
    Part2,
    Part3,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "references that people read, checked to be there")]
struct PurposeSection {
    lawful_basis: String,
    #[serde(default)]
    condition: String,
    #[serde(default)]
    gateway: String,
    #[serde(default)]
    dsa_ref: String,
    #[serde(default)]
    expires: Option<Day>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    default: String,
    #[serde(default)]
    rule: Vec<RuleSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSection {
    code: Codes,
    purpose: BTreeSet<Purpose>,
    #[serde(default = "two_years")]
    max_age_days: i32,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    disclosure: Option<Disclosure>,
    #[serde(default)]
    roles_excluded: Vec<String>,
    #[serde(default)]
    needs: Option<String>,
}

/// One code or several that one rule covers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Codes {
    One(SignalCode),
    Several(Vec<SignalCode>),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeSection {
    #[serde(default)]
    people: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subjects {
    #[serde(default)]
    restrict: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Disclose {
    contact: bool,
    subgroup_counts: bool,
}

impl Default for Disclose {
    /// Counts of ten people or more say nothing of anybody, and show who is missed.
    fn default() -> Self {
        Self { contact: false, subgroup_counts: true }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "accepted now, so that files need no change later")]
struct Thresholds {
    #[serde(default)]
    min_population_k: Option<u64>,
    #[serde(default)]
    max_queries_per_day: Option<u64>,
    #[serde(default)]
    max_match_fraction: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "enforced by a later version; accepted so that files need no change")]
struct Kill {
    #[serde(default)]
    local: bool,
    #[serde(default)]
    honour_remote: bool,
    #[serde(default)]
    on_stale_feed_hours: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "accepted now, so that files need no change later")]
struct Audit {
    #[serde(default)]
    sink: Option<String>,
    #[serde(default)]
    hash_chain: bool,
    #[serde(default)]
    retain_days: Option<u64>,
}

fn two_years() -> i32 {
    730
}

impl Policy {
    /// Reads and checks the policy of an agency of this kind.
    pub fn load(path: &Path, id: &AgencyId, kind: AgencyKind) -> Result<Self, PolicyError> {
        let text = fs::read_to_string(path)
            .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, id, kind).map_err(|fault| match fault {
            Fault::Syntax(source) => PolicyError::Syntax { path: path.to_owned(), source },
            Fault::Rule(fault) => PolicyError::Refused { path: path.to_owned(), fault },
        })
    }

    fn parse(text: &str, id: &AgencyId, kind: AgencyKind) -> Result<Self, Fault> {
        let file: File = toml::from_str(text).map_err(|error| Fault::Syntax(Box::new(error)))?;
        let refuse = |fault: String| Err(Fault::Rule(fault));
        if file.node.id != *id {
            return refuse(format!("[node] is for `{}` and this node is `{id}`", file.node.id));
        }
        if file.node.controller.trim().is_empty() {
            return refuse("[node] needs the `controller` who answers for it".into());
        }
        if file.release.default != "deny" {
            return refuse("[release] default has to be \"deny\"".into());
        }
        for (purpose, section) in &file.purpose {
            check_basis(*purpose, section, &file, kind)?;
        }
        let mut rules: Vec<Option<Rule>> = vec![None; SignalCode::COUNT];
        for section in &file.release.rule {
            let codes = match &section.code {
                Codes::One(code) => std::slice::from_ref(code),
                Codes::Several(codes) => codes,
            };
            for code in codes {
                let rule = rule_of(*code, section, &file, kind)?;
                if rules[code.index()].is_some() {
                    return refuse(format!("{code} has two rules: join them into one"));
                }
                rules[code.index()] = rule;
            }
        }
        let scope = match file.scope.people.as_deref() {
            None | Some("with_signals") => Scope::WithSignals,
            Some("everybody") => Scope::Everybody,
            Some(_) => return refuse("[scope] people is \"with_signals\" or \"everybody\"".into()),
        };
        Ok(Self {
            purposes: file.purpose.iter().map(|(p, section)| (*p, section.expires)).collect(),
            rules,
            scope,
            disclose_contact: file.disclose.contact,
            subgroup_counts: file.disclose.subgroup_counts,
            restrictions: file.subjects.restrict,
            stale_after_h: file.kill.on_stale_feed_hours,
        })
    }
}

/// Why a file is refused; the caller knows which file.
#[derive(Debug)]
enum Fault {
    Syntax(Box<toml::de::Error>),
    Rule(String),
}

/// UK GDPR Article 6(1): consent is not a basis for safeguarding, and a public body cannot use
/// recognised legitimate interests for its tasks. DOMAIN.md 4.1.
fn check_basis(
    purpose: Purpose,
    section: &PurposeSection,
    file: &File,
    kind: AgencyKind,
) -> Result<(), Fault> {
    let refuse = |why: &str| Err(Fault::Rule(format!("[purpose.{purpose}] {why}")));
    match section.lawful_basis.as_str() {
        "6(1)(c)" | "6(1)(d)" | "6(1)(e)" => {}
        "part3" if file.node.regime == Regime::Part3 => {}
        "6(1)(a)" => return refuse("consent is not a basis for safeguarding: use 6(1)(e)"),
        "6(1)(ea)" | "6(1)(f)" => {
            return refuse("a public body cannot rest its tasks on legitimate interests");
        }
        _ => return refuse("lawful_basis is 6(1)(c), 6(1)(d), 6(1)(e), or part3 under Part 3"),
    }
    if purpose == Purpose::MultipleDisadvantage {
        if kind == AgencyKind::Nhs {
            return refuse("health bodies have no gateway under section 35");
        }
        if section.dsa_ref.is_empty() {
            return refuse("needs the dsa_ref of the registered agreement");
        }
    }
    Ok(())
}

fn rule_of(
    code: SignalCode,
    section: &RuleSection,
    file: &File,
    kind: AgencyKind,
) -> Result<Option<Rule>, Fault> {
    let refuse = |why: String| Err(Fault::Rule(format!("rule for {code}: {why}")));
    let spec = code.spec();
    if let Some(owner) = spec.owner.filter(|owner| *owner != kind) {
        return refuse(format!("it belongs to {owner}, and this node is {kind}"));
    }
    if let Some(unknown) = section.purpose.iter().find(|p| !file.purpose.contains_key(p)) {
        return refuse(format!("there is no [purpose.{unknown}]"));
    }
    if section.purpose.is_empty() {
        return refuse("name at least one purpose, or leave the rule out".into());
    }
    if !(1..=3650).contains(&section.max_age_days) {
        return refuse("max_age_days is between 1 and 3650".into());
    }
    if spec.release == ReleaseDefault::Off && section.needs.is_none() {
        tracing::warn!(signal = %code, "policy releases a signal that is off until it is signed off");
    }
    let known_role =
        |role: &String| matches!(role.as_str(), "WITNESS" | "REPORTER" | "PROFESSIONAL");
    if !section.roles_excluded.iter().all(known_role) {
        return refuse(
            "roles_excluded names WITNESS, REPORTER or PROFESSIONAL; they never count anyway"
                .into(),
        );
    }
    let detail = match section.detail.as_deref() {
        None | Some("code+month") => Detail::Month,
        Some("code+day") => Detail::Day,
        Some(_) => return refuse("detail is \"code+month\" or \"code+day\"".into()),
    };
    match section.needs.as_deref() {
        None => {}
        Some("second_approver") => {
            tracing::warn!(signal = %code, "needs a second approver, so it is not released");
            return Ok(None);
        }
        Some(_) => return refuse("needs is \"second_approver\"".into()),
    }
    Ok(Some(Rule {
        purposes: section.purpose.clone(),
        most_days: section.max_age_days,
        detail,
        disclosure: section.disclosure.unwrap_or(Disclosure::Named),
    }))
}

#[cfg(test)]
mod tests {
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

        [subjects]
        restrict = ["witness_protection", "refuge"]
    "#;

    fn parse(text: &str) -> Result<Policy, String> {
        Policy::parse(text, &"midshire-police".parse().unwrap(), AgencyKind::Police).map_err(
            |fault| match fault {
                Fault::Syntax(error) => error.to_string(),
                Fault::Rule(fault) => fault,
            },
        )
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
        assert_eq!(policy.allowed(ADULTS, day("2027-03-31")), ADULTS);
        assert_eq!(policy.allowed(ADULTS, day("2027-04-01")), []);
        assert_eq!(policy.allowed(&[Purpose::MultipleDisadvantage], day("2025-01-01")), []);
    }

    #[test]
    fn old_future_and_posthumous_events_and_wrong_roles_are_not_said() {
        let policy = parse(POLICE).unwrap();
        let as_at = day("2025-02-25");
        let told = |event: &PersonEvent| policy.release(event, ADULTS, as_at).is_some();
        assert!(told(&event("POL_ASB_VICTIM", "2023-02-26")));
        assert!(!told(&event("POL_ASB_VICTIM", "2023-02-25")));
        assert!(!told(&event("POL_ASB_VICTIM", "2025-02-26")));
        let dead = PersonEvent {
            deceased: Some(day("2025-02-01")),
            ..event("POL_ASB_VICTIM", "2025-02-19")
        };
        assert!(!told(&dead));
        let suspect = PersonEvent { suspect: true, ..event("POL_ASB_VICTIM", "2025-02-19") };
        assert!(!told(&suspect));
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
    }

    #[test]
    fn a_file_that_cannot_be_followed_is_refused_with_the_reason() {
        let cases = [
            (r#"restrict = ["witness"#, r#"restrikt = ["witness"#, "restrikt"),
            (r#"default = "deny""#, r#"default = "allow""#, "has to be \"deny\""),
            (r#"id = "midshire-police""#, r#"id = "housing""#, "this node is `midshire-police`"),
            (r#"code = "POL_ASB_VICTIM""#, r#"code = "NHS_WNB""#, "it belongs to nhs"),
            (r#"code = "POL_ASB_VICTIM""#, r#"code = "POL_ASBVICTIM""#, "POL_ASBVICTIM"),
            (r#"lawful_basis = "6(1)(e)""#, r#"lawful_basis = "6(1)(ea)""#, "legitimate interests"),
            (r#"lawful_basis = "6(1)(e)""#, r#"lawful_basis = "6(1)(a)""#, "consent"),
            (
                r#"["adult_safeguarding"]"#,
                r#"["child_safeguarding"]"#,
                "no [purpose.child_safeguarding]",
            ),
            (r#"detail = "code+day""#, r#"detail = "everything""#, "detail is"),
            (r#""POL_DRUG_WARRANT"]"#, r#""POL_ASB_VICTIM"]"#, "two rules"),
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
        let band = |on: &str| super::super::child_band(born, day(on));
        assert_eq!(band("2025-11-01"), Some(SignalCode::CHILD_U1));
        assert_eq!(band("2025-11-02"), Some(SignalCode::CHILD_U5));
        assert_eq!(band("2029-11-02"), Some(SignalCode::CHILD_U18));
        assert_eq!(band("2042-11-02"), None);
        assert_eq!(band("2024-11-01"), None, "not born yet");
    }
}
