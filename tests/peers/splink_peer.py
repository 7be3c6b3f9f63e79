"""Splink on clear text, configured from the columns that a folder fills and from nothing else.

Its model: forename and surname with term frequencies, date of birth, one joint address comparison
where there are postcodes and streets, identifiers with typing errors; u by random sampling, m by EM
over several blocking rules. Blocking rules, those to learn from among them, are many and wide for up to
`THOROUGH` records, and few and narrow beyond, as one would for speed; there the wide ones can be had, too. To
count what a rule brings is our way to choose, and not part of its time.
"""

import contextlib
import tempfile

import cluster
import duckdb
import records
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.internals.exceptions import SplinkException

THOROUGH = 150_000
# Weights of more pairs than so many records have do not fit into memory as Python's numbers.
CONSTRAINED = 2_000_000
# A blocking rule may bring so many pairs for each record.
FOLLOWS = 0.7  # FEBRL's suburbs and postcodes: 0.3 to 0.54
AFFORDABLE = 25
# The share of pairs that match, if none is found for certain: Splink's own default.
FEWEST = 1e-4
THRESHOLDS = [0.5, 0.95, 0.99]

ADDRESS = {
    "output_column_name": "home",
    "comparison_levels": [
        {"sql_condition": "(postcode_l is null or postcode_r is null) and "
                          "(street_l is null or street_r is null)",
         "label_for_charts": "missing", "is_null_level": True},
        {"sql_condition": "postcode_l = postcode_r and house_l = house_r and street_l = street_r",
         "label_for_charts": "all equal"},
        {"sql_condition": "house_l = house_r and (postcode_l = postcode_r or (street_l = street_r "
                          "and damerau_levenshtein(postcode_l, postcode_r) <= 2))",
         "label_for_charts": "house and postcode"},
        {"sql_condition": "house_l = house_r and street_l = street_r",
         "label_for_charts": "house and street"},
        {"sql_condition": "postcode_l = postcode_r", "label_for_charts": "postcode"},
        {"sql_condition": "street_l = street_r or damerau_levenshtein(postcode_l, postcode_r) <= 1",
         "label_for_charts": "nearly"},
        {"sql_condition": "ELSE", "label_for_charts": "different"},
    ],
}


def link(frame, seconds, wide=False):
    once = records.told_once(frame)
    small = wide or len(frame) <= THOROUGH
    with seconds("prepare"):
        data, filled = prepared(frame)
    blocking = rules(data, filled, small)
    with tempfile.TemporaryDirectory() as spill:
        with seconds("prepare"):
            api = DuckDBAPI(duckdb.connect(config={"temp_directory": spill}))
            made = settings(data, filled, all(once), blocking)
            linker = Linker(tables(api, data), made, log_level="ERROR")
        with seconds("train"):
            train(linker, filled, small)
        with seconds("predict"):
            predictions = linker.inference.predict(threshold_match_weight=-10 if small else -5)
            scored = predictions.as_pandas_dataframe()
    for threshold in THRESHOLDS:
        with seconds("cluster", only=threshold == 0.95):
            likely = scored.match_probability >= threshold
            persons = cluster.components(
                len(frame), zip(scored.id_l[likely].tolist(), scored.id_r[likely].tolist()))
        yield f"as it comes, p >= {threshold}", persons
    if len(frame) > CONSTRAINED:
        return
    with seconds("constrained"):
        agency, weights = frame.agency.tolist(), scored.match_weight.tolist()
        pairs = list(zip(scored.id_l.tolist(), scored.id_r.tolist(), weights))
        persons = cluster.constrained(len(frame), pairs, agency, once)
    yield "constrained", persons


def prepared(frame):
    """Empty fields are missing, a field that no agency fills is not there."""
    data = frame.drop(columns="truth_id").replace("", None)
    both = data.forename.notna() & data.surname.notna()
    data["fullname"] = (data.forename + " " + data.surname).where(both, None)
    data["initial"] = data.middle.str[:1]
    data["agency"] = "agency_" + data.agency.astype(str)
    filled = {name for name in data.columns if data[name].notna().mean() > records.FILLED}
    if {"postcode", "town"} <= filled and follows(data, "town", "postcode"):
        filled.remove("town")
    return data, filled


def follows(data, name, other):
    """Whether a field mostly follows from another one: compared beside it, it would speak twice."""
    both = data[data[name].notna() & data[other].notna()]
    most = both.groupby(other)[name].agg(lambda values: values.value_counts().iloc[0]).sum()
    return most > FOLLOWS * len(both)


def tables(api, data):
    if data.agency.nunique() == 1:
        return api.register(data.drop(columns="agency"), dataset_display_name="agency_0")
    return [api.register(part.drop(columns="agency"), dataset_display_name=name)
            for name, part in data.groupby("agency")]


def settings(data, filled, all_once, blocking):
    one = data.agency.nunique() == 1
    kind = "dedupe_only" if one else "link_only" if all_once else "link_and_dedupe"
    return SettingsCreator(
        link_type=kind, unique_id_column_name="id", em_convergence=0.001,
        comparisons=comparisons(filled), blocking_rules_to_generate_predictions=blocking,
        retain_intermediate_calculation_columns=False, retain_matching_columns=False)


def comparisons(filled):
    by_name = cl.ForenameSurnameComparison(
        "forename", "surname", forename_surname_concat_col_name="fullname")
    result = [by_name]
    if "dob" in filled:
        result.append(cl.DateOfBirthComparison(
            "dob", input_is_string=True, datetime_format="%Y-%m-%d", invalid_dates_as_null=True))
    result += [cl.ExactMatch(name) for name in ("initial", "sex") if name in filled]
    frequent = {"term_frequency_adjustments": True}
    if {"postcode", "street"} <= filled and "town" not in filled:
        result.append(cl.CustomComparison(**ADDRESS))
    else:
        apart = {
            "postcode": cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]),
            "house": cl.ExactMatch("house"),
            "street": cl.JaroWinklerAtThresholds("street", [0.9, 0.8]),
            "town": cl.JaroWinklerAtThresholds("town", [0.9]),
        }
        result += [made.configure(**frequent) for name, made in apart.items() if name in filled]
    for name in records.STRONG:
        if name in filled:
            result.append(cl.DamerauLevenshteinAtThresholds(name, [1, 2]))
    if "email" in filled:
        result.append(cl.EmailComparison("email"))
    if "phone" in filled:
        result.append(cl.LevenshteinAtThresholds("phone", [2]))
    return result


def rules(data, filled, small):
    """Blocking rules of the columns there are; a rule that brings too many pairs is narrowed."""
    thorough = [
        ["forename", "surname"], ["dob"], ["dob", "substr(forename,1,1)"],
        ["dob", "substr(surname,1,2)"], ["forename", "substr(dob,1,4)"],
        ["surname", "substr(dob,1,4)"], ["substr(dob,6,5)", "forename"],
        ["substr(dob,6,5)", "substr(surname,1,3)"], ["postcode"],
        ["postcode", "substr(forename,1,2)"], ["postcode", "substr(surname,1,2)"],
        ["house", "street", "substr(forename,1,1)"], ["house", "street", "substr(surname,1,2)"],
        ["street", "substr(forename,1,3)"], ["forename", "initial", "substr(surname,1,1)"],
        ["email"], ["phone"], *([name] for name in records.STRONG),
    ]
    quick = [
        ["forename", "surname", "dob"], ["forename", "dob"], ["surname", "dob"],
        ["forename", "surname", "postcode"], ["dob", "postcode"], ["surname", "house", "postcode"],
        ["email"], ["phone"], *([name] for name in records.STRONG),
    ]
    result = [block_on(*parts) for parts in (thorough if small else quick)
              if columns(parts) <= filled and pairs(data, parts) <= AFFORDABLE * len(data)]
    swapped = "l.forename = r.surname and l.surname = r.forename"
    return [*result, swapped] if small else result


def columns(parts):
    return {part.removeprefix("substr(").split(",")[0] for part in parts}


def pairs(data, parts):
    """How many pairs a blocking rule brings, those inside an agency included."""
    keys = {}
    for at, part in enumerate(parts):
        name, *cut = part.removeprefix("substr(").rstrip(")").split(",")
        column = data[name]
        if cut:
            start, length = int(cut[0]) - 1, int(cut[1])
            column = column.str[start:start + length]
        keys[f"k{at}"] = column
    sizes = data.assign(**keys).dropna(subset=list(keys)).groupby(list(keys)).size()
    return (sizes * (sizes - 1) // 2).sum()


def train(linker, filled, small):
    certain = [["forename", "surname", "dob" if "dob" in filled else "postcode"]]
    certain += [[name] for name in (*records.STRONG, "email") if name in filled]
    certain = [block_on(*rule) for rule in certain if columns(rule) <= filled]
    if certain:
        linker.training.estimate_probability_two_random_records_match(certain, recall=0.7)
    # Where no two records agree for certain it comes to nought, by which nothing can be learnt.
    model = linker._settings_obj
    if not model._probability_two_random_records_match:
        model._probability_two_random_records_match = FEWEST
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    # Whole columns: a comparison is not trained by a rule that uses any of its own.
    sessions = [["forename", "dob"], ["surname", "postcode"], ["dob", "postcode"]]
    if small:
        sessions = [["forename", "surname"], ["dob"], ["postcode"]]
    sessions += [[name] for name in records.STRONG]
    for rule in sessions:
        if columns(rule) <= filled:
            # A rule without a pair, such as a number that one agency alone has, teaches nothing, nor does one that
            # uses every column there is.
            with contextlib.suppress(SplinkException):
                linker.training.estimate_parameters_using_expectation_maximisation(
                    block_on(*rule), estimate_without_term_frequencies=True)
