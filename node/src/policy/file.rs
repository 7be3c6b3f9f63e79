//! Reading the policy file. Every key is known, or the file is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use causeway_proto::{
    catalogue::{AgencyKind, Purpose, ReleaseDefault, SignalCode},
    day::Day,
    ids::AgencyId,
    signal::Disclosure,
};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

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
    disclose: Disclose,
    #[serde(default)]
    kill: Kill,
    /// Sections that are known and not followed, to be refused with a reason.
    subjects: Option<IgnoredAny>,
    thresholds: Option<IgnoredAny>,
    audit: Option<IgnoredAny>,
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
struct Codes(Vec<SignalCode>);

impl<'de> Deserialize<'de> for Codes {
    /// By hand, so that the message names a code that is none.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Codes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a code of the signal catalogue, or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Codes, E> {
                text.parse().map(|code| Codes(vec![code])).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Codes, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Codes)
            }
        }

        from.deserialize_any(OneOrSeveral)
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeSection {
    #[serde(default)]
    people: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Disclose {
    contact: bool,
    subgroup_counts: bool,
}

impl Default for Disclose {
    /// Counts of many people, with noise, say nothing of anybody, and show who is missed.
    fn default() -> Self {
        Self { contact: false, subgroup_counts: true }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    #[serde(default)]
    local: bool,
    honour_remote: Option<IgnoredAny>,
    #[serde(default)]
    on_stale_feed_hours: Option<u64>,
}

/// How many days the longest month has.
const LONGEST_MONTH: i32 = 31;

fn two_years() -> i32 {
    730
}

impl Policy {
    /// Reads and checks the policy of an agency of this kind.
    pub fn load(path: &Path, id: &AgencyId, kind: AgencyKind) -> Result<Self, PolicyError> {
        let text = fs::read_to_string(path)
            .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
        Self::from_text(path, &text, id, kind)
    }

    /// Checks what was read from a file.
    pub(super) fn from_text(
        path: &Path,
        text: &str,
        id: &AgencyId,
        kind: AgencyKind,
    ) -> Result<Self, PolicyError> {
        Self::parse(text, id, kind).map_err(|fault| match fault {
            Fault::Syntax(source) => PolicyError::Syntax { path: path.to_owned(), source },
            Fault::Rule(fault) => PolicyError::Refused { path: path.to_owned(), fault },
        })
    }

    fn parse(text: &str, id: &AgencyId, kind: AgencyKind) -> Result<Self, Fault> {
        let file: File = toml::from_str(text).map_err(|error| Fault::Syntax(Box::new(error)))?;
        let refuse = |fault: String| Err(Fault::Rule(fault));
        check_followed(&file)?;
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
        // Also of rules that release nothing: one that did would undo them.
        let mut ruled = BTreeSet::new();
        for section in &file.release.rule {
            for code in &section.code.0 {
                let rule = rule_of(*code, section, &file, kind)?;
                if !ruled.insert(code.index()) {
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
            unfilled: unfilled(&file),
            purposes: file.purpose.iter().map(|(p, section)| (*p, section.expires)).collect(),
            rules,
            scope,
            disclose_contact: file.disclose.contact,
            subgroup_counts: file.disclose.subgroup_counts,
            killed: file.kill.local,
            stale_after_h: file.kill.on_stale_feed_hours,
        })
    }
}

/// Names what still says what `init` wrote for somebody to replace.
fn unfilled(file: &File) -> Vec<String> {
    let controller = [("[node] controller".to_owned(), &file.node.controller)];
    let agreements = file.purpose.iter();
    let agreements = agreements
        .map(|(purpose, section)| (format!("[purpose.{purpose}] dsa_ref"), &section.dsa_ref));
    let all = controller.into_iter().chain(agreements);
    all.filter(|(_, says)| says.contains("FILL IN")).map(|(place, _)| place).collect()
}

/// Refuses what this version does not follow: somebody would believe that it does.
fn check_followed(file: &File) -> Result<(), Fault> {
    let refuse = |what: &str, instead: &str| {
        let fault = format!("{what} is not followed by this version: take it out. {instead}");
        Err(Fault::Rule(fault))
    };
    let File { subjects, thresholds, kill, audit, .. } = file;
    match () {
        () if subjects.is_some() => refuse(
            "[subjects]",
            "Of whom nothing ever leaves the node is what a mapping says in [restricted], by the mark that the \
             agency's own system keeps",
        ),
        () if thresholds.is_some() => refuse(
            "[thresholds]",
            "What a node keeps to in any case is in the README; no day's number of questions is among it",
        ),
        () if kill.honour_remote.is_some() => {
            refuse("[kill] honour_remote", "`local = true` stops this node")
        }
        () if audit.is_some() => {
            refuse("[audit]", "Every answer and refusal is in the node's audit table in any case")
        }
        () => Ok(()),
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
    if detail == Detail::Month && section.max_age_days < LONGEST_MONTH {
        tracing::warn!(signal = %code, "counts from the first of its month: late in it, nothing is told");
    }
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
mod tests;
