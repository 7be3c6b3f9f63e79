"""Scores households as `causeway-coordinator score` does, written a second time from the formulae.

    python3 reference.py MODEL.toml CATALOGUE.csv < events.csv     columns as for `score`, and `as_at`

Prints `household,score` with the score before rounding. Plain Python 3.11, standard library only. It
shares no code with the product: only the numbers and the rules of the model file, and the catalogue of
signals. An event is weighed as the published model says:

    n = sum of confidence * 2^(-age / half_life);  x = weight * (1 - (1 - first_share)^n)
    D = cap * (1 - exp(-sum of x / cap));          S = 100 * (1 - exp(-(sum of D + rules + breadth) / k))
"""

import collections, csv, datetime as dt, math, sys, tomllib

with open(sys.argv[1], "rb") as file:
    MODEL = tomllib.load(file)
with open(sys.argv[2], newline="") as file:
    CATALOGUE = {row["code"]: row for row in csv.DictReader(file)}
SIGNALS, POVERTY = MODEL["signals"], set(MODEL["breadth"]["excluded_domains"])
ORDER = {code: at for at, code in enumerate(CATALOGUE)}
day = dt.date.fromisoformat


class Household:
    def __init__(self, rows, as_at):
        self.as_at = as_at
        best = {}
        for row in rows:
            event = (row["code"], day(row["start"]), day(row["end"]) if row["end"] else None, float(row["confidence"]))
            if event[1] <= as_at:
                key = row["event_ref"]
                best[key] = min(best.get(key, event), event, key=self.preferred)
        self.by_code = collections.defaultdict(list)
        for event in best.values():
            self.by_code[event[0]].append(event)
        self.points = {}
        for code, events in self.by_code.items():
            if CATALOGUE[code]["class"] == "harm" and (x := self.weigh(code, events)):
                self.points[code] = x

    @staticmethod
    def preferred(event):
        code, start, end, confidence = event
        severity = SIGNALS.get(code, {}).get("severity", 0)
        return (-severity, end is not None, -(end or start).toordinal() if end else 0, -confidence, start, ORDER[code])

    def weigh(self, code, events):
        spec, n = SIGNALS[code], 0.0
        for _, start, end, confidence in events:
            age = (self.as_at - start).days
            if CATALOGUE[code]["span"] == "state":
                age = 0 if end is None or end > self.as_at else (self.as_at - end).days
            if age <= MODEL["scale"]["window_days"]:
                n += confidence * 0.5 ** (age / spec["half_life_days"])
        if n <= MODEL["scale"]["negligible"]:
            return 0.0
        share = spec["first_share"]
        return spec["weight"] * (min(1.0, n) if share >= 1 else 1 - (1 - share) ** n)

    def codes(self, names):
        return [c for c in self.by_code if c in names or SIGNALS.get(c, {}).get("domain") in names]

    def starts(self, code, days):
        return [e[1] for e in self.by_code.get(code, []) if (self.as_at - e[1]).days <= days]

    def is_open(self, code):
        return any(e[2] is None or e[2] > self.as_at for e in self.by_code.get(code, []))

    def is_recent(self, code, days):
        return bool(self.starts(code, days)) or (CATALOGUE[code]["span"] == "state" and self.is_open(code))

    def holds(self, when):
        (form, what), = when.items()
        if form in ("all", "any"):
            return (all if form == "all" else any)(self.holds(part) for part in what)
        if form == "open":
            return any(self.is_open(code) for code in self.codes(what))
        if form == "scored_domain":
            return any(SIGNALS[code]["domain"] in what for code in self.points)
        if form == "count":
            return sum(len(self.starts(c, what["within_days"])) for c in self.codes(what["of"])) >= what["at_least"]
        if form == "recent":
            return any(self.is_recent(code, what["within_days"]) for code in self.codes(what["of"]))
        if form == "distinct_recent":
            return sum(self.is_recent(c, what["within_days"]) for c in self.codes(what["of"])) >= what["at_least"]
        if form == "doubled":
            for code in what["first_of"]:
                last = len(self.starts(code, what["window_days"]))
                before = len(self.starts(code, 2 * what["window_days"])) - last
                if last >= what["at_least"] and last >= 2 * max(before, 1):
                    return True
            return False
        if form == "unfollowed":
            followed = [e[1] for e in self.by_code.get(what["by"], [])]
            return any(
                what["after_days"] <= (self.as_at - e[1]).days <= what["within_days"] and not any(f >= e[1] for f in followed)
                for e in self.by_code.get(what["of"], []))
        if form == "after_closed":
            closed = [start for code in self.codes(what["of"]) for start in self.starts(code, what["within_days"])]
            is_concern = lambda code: (CATALOGUE[code]["class"] == "harm" and CATALOGUE[code]["owner"] != what["not_owner"]
                                       and SIGNALS[code]["severity"] >= what["then_severity"])
            return len(closed) >= what["at_least"] and any(
                e[1] > max(closed) for code, events in self.by_code.items() if is_concern(code) for e in events)
        raise ValueError(form)

    def score(self):
        sums, effects = collections.Counter(), {}
        for code, x in self.points.items():
            sums[SIGNALS[code]["domain"]] += x
        for domain, x in sums.items():
            cap = MODEL["domains"][domain]["cap"]
            effects[domain] = cap * (1 - math.exp(-x / cap))
        rules = sum(rule["points"] for rule in MODEL["rules"] if self.holds(rule["when"]))
        by_agency = collections.Counter()
        for code, x in self.points.items():
            domain = SIGNALS[code]["domain"]
            if domain not in POVERTY:
                by_agency[CATALOGUE[code]["owner"]] += x * effects[domain] / sums[domain]
        seeing = sum(points >= MODEL["breadth"]["threshold"] for points in by_agency.values())
        breadth = min(MODEL["breadth"]["cap"], MODEL["breadth"]["points_per_agency"] * max(0, seeing - 1))
        raw = sum(effects.values()) + min(MODEL["interactions"]["cap"], rules) + breadth
        return 100 * (1 - math.exp(-raw / MODEL["scale"]["k"]))


def main():
    households = collections.defaultdict(list)
    for row in csv.DictReader(sys.stdin):
        households[row["household"], row["as_at"]].append(row)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["household", "score"])
    for (name, as_at), rows in households.items():
        out.writerow([name, f"{Household(rows, day(as_at)).score():.6f}"])


main()
