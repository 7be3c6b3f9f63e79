"""Folders with one CSV file per agency in the standard columns, and how well a linkage of them is."""

from collections import Counter
from pathlib import Path

import pandas as pd

# Of the standard columns, those that say something about a person. Everything a peer may use.
FIELDS = [
    "forename", "middle", "surname", "dob", "sex", "house", "street", "town", "postcode",
    "nhs", "upn", "nino", "other_id", "phone", "email",
]
STRONG = ["nhs", "upn", "nino", "other_id"]
# A column that is filled less often says nothing.
FILLED = 0.02

# An agency knows whether it writes people down twice; this much counts as never.
SELDOM_TWICE = 0.01


def load(folder):
    """Returns one frame with every agency's records; `id` is a record's place, `agency` its file's."""
    frames = []
    files = (path for path in Path(folder).iterdir() if path.suffix.lower() == ".csv")
    for agency, path in enumerate(sorted(files)):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        for field in FIELDS:
            if field not in frame:
                frame[field] = ""
            frame[field] = frame[field].str.strip().str.lower()
        frame["agency"] = agency
        frames.append(frame[FIELDS + ["truth_id", "agency"]])
    frame = pd.concat(frames, ignore_index=True)
    frame["id"] = frame.index
    # A record whose person nobody knows stands for itself, as in `town link`.
    unknown = frame.truth_id == ""
    frame.loc[unknown, "truth_id"] = "?" + frame.id[unknown].astype(str)
    return frame


def told_once(frame):
    """Returns for each record whether its agency holds one record per person, as it would declare."""
    once = {}
    for agency, part in frame.groupby("agency"):
        once[agency] = 1 - part.truth_id.nunique() / len(part) < SELDOM_TWICE
    return frame.agency.map(once).tolist()


def quality(frame, persons):
    """Precision, recall and F1 over pairs of records of different agencies, or over all pairs where
    there is one agency: what `town link` calls `cluster`."""
    truth, agency = frame.truth_id.tolist(), frame.agency.tolist()
    one_agency = len(set(agency)) == 1

    def pairs(labels):
        def count(keys):
            return sum(n * (n - 1) // 2 for n in Counter(keys).values())

        inside = 0 if one_agency else count(zip(labels, agency))
        return count(labels) - inside

    joined, together = pairs(persons), pairs(truth)
    both = pairs(list(zip(persons, truth)))
    # Of nothing all is right, as `town link` counts it.
    precision, recall = (both / of if of else 1.0 for of in (joined, together))
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    return {"precision": precision, "recall": recall, "f1": f1}
