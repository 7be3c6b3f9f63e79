use crate::score::model::{Model, ModelError};

const BUILTIN: &str = include_str!("../../../../model/causeway-1.toml");

/// Swaps one piece of the built-in model and returns what the check says.
fn refusal(from: &str, to: &str) -> String {
    assert!(BUILTIN.contains(from), "`{from}` is not in the model");
    match Model::parse(&BUILTIN.replacen(from, to, 1)) {
        Ok(_) => panic!("`{to}` was let through"),
        Err(ModelError::Syntax(error)) => error.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_built_in_model_passes() {
    let model = Model::parse(BUILTIN).unwrap();
    assert_eq!((model.signals.len(), model.rules.len()), (72, 15));
    assert_eq!(&model, Model::builtin());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let refused = Model::load("/no/such/model.toml".as_ref()).unwrap_err();
    assert_eq!(refused.to_string(), "could not read model file /no/such/model.toml");
}

#[test]
fn slips_are_refused_with_the_entry_and_the_fix() {
    for (from, to, said) in [
        ("POL_DA_STD = {", "POL_DA = {", "POL_DA"),
        ("YJS_ACTIVE = {", "# YJS_ACTIVE = {", "`signals.YJS_ACTIVE`: add it"),
        (
            "[signals]",
            "[signals]\nDER_CHILD_U1 = { domain = 'CTX', severity = 0, weight = 0, first_share = 1, half_life_days = 0 }",
            "`signals.DER_CHILD_U1`: leave it out",
        ),
        (
            "weight = 30, first",
            "weight = -30, first",
            "`signals.POL_ASB_VICTIM`: use a weight of more than 0",
        ),
        ("weight = 30, first", "weight = nan, first", "`signals.POL_ASB_VICTIM`: use a weight"),
        ("weight = 30, first", "weight = 3000, first", "`signals.POL_ASB_VICTIM`: use a weight"),
        (
            "first_share = 0.22",
            "first_share = 0",
            "`signals.POL_ASB_VICTIM`: use a first_share in (0, 1]",
        ),
        ("first_share = 0.22", "first_share = 1.1", "`signals.POL_ASB_VICTIM`: use a first_share"),
        ("half_life_days = 120, says", "half_life_days = 0, says", "half_life_days of 1"),
        ("half_life_days = 120, says", "half_live_days = 120, says", "half_live_days"),
        ("severity = 2, weight = 30", "severity = 6, weight = 30", "use a severity from 1 to 5"),
        ("[domains.VIOL]\ncap = 45", "[domains.VIOL]\ncap = inf", "`domains.VIOL`: use a cap"),
        ("id = \"X02\"", "id = \"X01\"", "`X01`: give each rule an id of its own"),
        ("points = 14", "points = 46", "`X02`: use points from 1 to interactions.cap"),
        (
            "within_days = 180, at_least = 3",
            "within_days = -1, at_least = 3",
            "`X01`: use 1 to 3650 days",
        ),
        ("of = [\"TARG\"]", "of = []", "`X01`: name at least one signal"),
        ("after_days = 14", "after_days = 200", "`X14`: use an after_days"),
        ("{signal} at least", "{name} at least", "`X13`: use no placeholders but"),
        ("t3 = 65", "t3 = 40", "`tiers`: let t1 to t4 rise"),
        ("min_agencies = 2", "min_agencies = 1", "`surfacing.min_agencies`: use 2 or more"),
        (
            "first_rules = [\"X14\"]",
            "first_rules = [\"X99\"]",
            "`surfacing.first_rules`: name rules",
        ),
        ("version = \"causeway-1\"", "version = \"\"", "`version`: use 1 to 32"),
    ] {
        let refused = refusal(from, to);
        assert!(refused.contains(said), "{from} -> {to}: {refused}");
    }
}

#[test]
fn thin_evidence_adds_little() {
    let refused = refusal("points = 4\n", "points = 6\n");
    assert!(refused.contains("`X15`: give it 5 points at most"), "{refused}");
}

#[test]
fn a_rule_that_tells_nobody_is_refused() {
    let refused = refusal("lead = \"adult_social_care\"\ninform = [\"police\", \"housing\"]", "");
    assert!(refused.contains("`X01`: name who leads"), "{refused}");
    let refused = refusal("inform = [\"police\", \"nhs\"]", "inform = [\"childrens_social_care\"]");
    assert!(refused.contains("`X03`: tell each kind of agency once"), "{refused}");
    let refused = refusal("first_of = [\"POL_ASB_VICTIM\"", "first_of = [\"DWP_SANCTION\"");
    assert!(refused.contains("`X13`: name who leads: the domain"), "{refused}");
}

#[test]
fn context_and_poverty_can_never_add_up_to_an_alert() {
    let context = "ASC_UNPAID_CARER = { domain = \"CTX\", severity = 0, weight = 0";
    let refused = refusal(context, &context.replace("weight = 0", "weight = 5"));
    assert!(refused.contains("`signals.ASC_UNPAID_CARER`: set weight"), "{refused}");

    let refused = refusal("  { scored_domain = [\"CARE\", \"MENT\", \"TARG\", \"SELF\"] },\n", "");
    assert!(refused.contains("`X10`: ask for a sign of harm"), "{refused}");

    let refused = refusal("[domains.HARD]\ncap = 10", "[domains.HARD]\ncap = 40");
    assert!(refused.contains("being poor must not reach t2"), "{refused}");

    let refused =
        refusal("excluded_domains = [\"HARD\", \"HOUS\"]", "excluded_domains = [\"HARD\"]");
    assert!(refused.contains("`breadth.excluded_domains`: name both"), "{refused}");
}
