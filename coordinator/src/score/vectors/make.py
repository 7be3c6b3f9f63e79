"""Makes the test vectors beside it from the reference scorer, which is not part of this repository.

    python3 make.py DIR      DIR holds scoring_reference.py, scenarios.py and expected.txt

`scenarios.csv` and `expected.txt` are the published scenarios and what the reference prints for them.
`households.csv` are made-up households, and `scores.csv` is what the reference says of each, to six
decimals. Events are given to the reference in the order in which the product prefers one of several
with the same key, since the reference keeps the first. The seed is fixed: the files come out the same.
"""

import collections, csv, datetime as dt, os, random, shutil, sys

SOURCE, HERE = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, SOURCE)
import scenarios as sc
import scoring_reference as ref

HOUSEHOLDS = 2400
AS_AT = [dt.date(2025, 2, 28), dt.date(2025, 12, 31), dt.date(2026, 3, 1), dt.date(2027, 6, 15)]
HEADER = "household,person,agency,code,start,end,event_ref,confidence".split(",")

rng = random.Random(20261122)
CODES = [code for code in ref.SIG]
STATES = {code for code in CODES if ref.SIG[code]["kind"] == "state"}
DA = ["POL_DA_STD", "POL_DA_HIGH", "NHS_DA_DISCLOSURE"]
CHILD = ["DER_CHILD_U1", "DER_CHILD_U5", "DER_CHILD_U18"]
NEED = ["ASC_CARE_NEED", "NHS_LD_REGISTER", "EDU_EHCP", "HOU_ADAPTED_HOME"]
TARG = [code for code in CODES if ref.SIG[code]["domain"] == "TARG"]
MENT = [code for code in CODES if ref.SIG[code]["domain"] == "MENT"]
# What each rule looks at, so that random households come near to its edges from both sides.
THEMES = [
    TARG * 2 + NEED, TARG * 2 + MENT, DA * 2 + CHILD[:2], DA + ["HOU_NSP", "HOU_EVICTION_WARRANT"],
    DA + ["EDU_PERSIST_ABS", "EDU_SEVERE_ABS", "EDU_ABS_CHANGE", "EDU_DSL_CONCERN"],
    ["CSC_REFERRAL_NFA"] * 3 + ["POL_DA_STD", "EDU_DSL_CONCERN", "CSC_S47", "NHS_WNB"],
    ["POL_MISSING_CHILD", "EDU_PERM_EX", "EDU_SEVERE_ABS", "EDU_CME"],
    ["NHS_U1_INJURY", "NHS_SUBS_DROPOUT"] + DA,
    ["ASC_SELF_NEGLECT", "HOU_PROPERTY_CONDITION", "HOU_NO_ACCESS", "FRS_HOARDING", "FRS_HIGH_RISK_HOME",
     "NHS_FALLS_AMB", "FRS_COOKING_ALARMS", "ASC_CARE_REFUSED"],
    ["ASC_UNPAID_CARER", "DWP_CARER_BENEFIT", "CSC_CASE_CLOSED", "ASC_CARER_BREAKDOWN"] * 2 + NEED,
    ["PRB_HIGH_ROSH_ADDR", "PRB_DA_RELEASE"] + DA + CHILD,
    ["POL_CUCKOOING", "POL_EXPLOIT_CONCERN"] + NEED,
    ["POL_ASB_VICTIM", "POL_DA_STD", "POL_MISSING_CHILD", "NHS_FALLS_AMB"],
    ["ASC_SUICIDAL_DISCLOSURE", "ASC_FOLLOWED_UP"],
    DA + MENT + ["NHS_SUBS_DROPOUT"] * 2 + CHILD,
]


def an_event(codes, as_at, days, keys):
    code = rng.choice(codes)
    start = as_at - dt.timedelta(rng.randint(-5, days))
    end = None
    if rng.random() < (0.5 if code in STATES else 0.1):
        end = start + dt.timedelta(rng.randint(0, 300))
    confidence = rng.choice([1.0, 1.0, 1.0, 0.6, 0.6, round(rng.random(), 2)])
    key = rng.choice([None, f"r{rng.randint(0, 400)}", f"r{rng.randint(0, keys)}"])
    person = rng.choice("abc")
    return ref.Ev(person, code, str(start), str(end) if end else None, key, confidence)


def a_household(number):
    as_at, keys = rng.choice(AS_AT), rng.choice([3, 40])
    shape = number % 6
    if shape == 0:
        events = [an_event(CODES, as_at, rng.choice([120, 400, 900]), keys) for _ in range(rng.randint(1, 16))]
    elif shape == 1:
        # A published scenario with some codes withheld, seen on a random day.
        events = list(rng.choice([sc.A, sc.B, sc.C, sc.D_POOR]))
        withheld = set(rng.sample(CODES, rng.randint(0, 40)))
        events = [ref.Ev(e.person, e.code, str(e.start), str(e.end) if e.end else None, e.key,
                         rng.choice([1.0, 0.6])) for e in events if e.code not in withheld]
        rng.shuffle(events)
        events = events[:14]
        as_at = dt.date(2025, 1, 15) + dt.timedelta(rng.randint(0, 500))
    else:
        codes = [code for theme in rng.sample(THEMES, rng.choice([1, 1, 2, 3])) for code in theme]
        days = rng.choice([50, 130, 200, 400])
        events = [an_event(codes, as_at, days, keys) for _ in range(rng.randint(2, 12))]
        events += [an_event(CODES, as_at, 800, keys) for _ in range(rng.randint(0, 2))]
    return as_at, events


def preferred(event):
    """Of several with one key the product keeps the least of these."""
    open_ended = event.end is None
    return (-ref.SIG[event.code]["sev"], not open_ended, -(event.end or event.start).toordinal() * (not open_ended),
            -event.conf, event.start, CODES.index(event.code), event.person)


def exactly(value, _digits=0):
    return float(f"{value:.6f}")


def number(value):
    return f"{value:.6f}".rstrip("0").rstrip(".")


def write_events(path, households):
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(HEADER)
        for name, events in households:
            for e in events:
                default = f"{e.person}|{e.code}|{e.start}"
                out.writerow([name, e.person, "", e.code, e.start, e.end or "",
                              "" if e.key == default else e.key, "" if e.conf == 1 else e.conf])


def main():
    scenarios = dict(A=sc.A, B=sc.B, C=sc.C, D_DEAF=sc.D_DEAF, D_POOR=sc.D_POOR)
    write_events(os.path.join(HERE, "scenarios.csv"), scenarios.items())
    shutil.copyfile(os.path.join(SOURCE, "expected.txt"), os.path.join(HERE, "expected.txt"))

    ref.round = exactly  # the reference rounds to 0.1 by this name
    seen, households, scores = collections.Counter(), [], []
    for at in range(HOUSEHOLDS):
        as_at, events = a_household(at)
        households.append((at, events))
        events = sorted(events, key=preferred)
        result = ref.score(events, as_at)
        rules = [rule[0] for rule in result["X"]]
        alone = ref.alone([e for e in events if e.start <= as_at], as_at)
        scores.append([at, as_at, number(result["S"]), number(result["R"]), " ".join(rules), number(result["breadth"]),
                       " ".join(f"{kind}={number(score)}" for kind, (score, _) in alone.items()),
                       " ".join(f"{code}={number(points)}/{count}" for _, code, points, count in result["lines"])])
        seen.update(rules)
        seen["rules capped"] += sum(rule[1] for rule in result["X"]) > ref.XCAP
        seen["breadth capped"] += len(result["agencies"]) > 4
        seen[ref.tier(round(result["S"], 1))] += 1
        seen["shared keys"] += len({e.key for e in events}) < len(events)
        seen.update(f"line {code}" for _, code, *_ in result["lines"])
    write_events(os.path.join(HERE, "households.csv"), households)
    with open(os.path.join(HERE, "scores.csv"), "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow("household,as_at,score,raw,rules,breadth,alone,lines".split(","))
        out.writerows(scores)
    for what, often in sorted(seen.items()):
        print(f"{often:6} {what}")


main()
