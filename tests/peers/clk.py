"""clkhash's Bloom filters of whole records, compared and solved by anonlink."""

import io

import cluster
from anonlink import solving
from anonlink.candidate_generation import find_candidate_pairs
from anonlink.similarities import dice_coefficient_accelerated
from clkhash import clk, schema
from clkhash.comparators import NgramComparison
from clkhash.field_formats import (
    BitsPerFeatureStrategy, FieldHashingProperties, MissingValueSpec, StringSpec,
)

# Bits that each field sets in a filter of 1024, by how much it says.
BITS = {
    "forename": 200, "surname": 200, "middle": 40, "dob": 200, "sex": 30, "postcode": 150,
    "house": 60, "street": 120, "town": 80, "nhs": 200, "upn": 200, "nino": 200, "other_id": 200,
    "email": 150, "phone": 100,
}
THRESHOLDS = [0.65, 0.7, 0.75, 0.8, 0.85, 0.9]
# Everything is compared with everything: beyond this it is hours.
MOST_COMPARISONS = 4e9
NEIGHBOURS = 20


def comparisons(frame):
    """How many filters would be compared."""
    sizes = frame.groupby("agency").size().tolist()
    if len(sizes) == 1:
        return sizes[0] ** 2
    return (sum(sizes) ** 2 - sum(n * n for n in sizes)) / 2


def link(frame, seconds):
    with seconds("filters"):
        sets = [filters(part) for part in parts(frame)]
    alone = len(sets) == 1
    with seconds("compare"):
        found = find_candidate_pairs(
            sets * 2 if alone else sets, dice_coefficient_accelerated, THRESHOLDS[0],
            k=2 * NEIGHBOURS if alone else NEIGHBOURS)
    places = [part.id.tolist() for part in parts(frame)]
    for threshold in THRESHOLDS:
        with seconds("solve", only=threshold == 0.8):
            similar, (set_a, set_b), (row_a, row_b) = found
            enough = [at for at, value in enumerate(similar) if value >= threshold]
            if alone:
                pairs = ((row_a[at], row_b[at]) for at in enough if row_a[at] != row_b[at])
                persons = cluster.components(len(frame), pairs)
            else:
                persons = solved(len(frame), places, found, len(enough))
        yield f"Dice {threshold}", persons


def solved(records, places, found, enough):
    """anonlink's own solver: greedy, one record per data set. The best candidates come first."""
    similar, sets, rows = found
    cut = tuple(part[:enough] for part in sets), tuple(part[:enough] for part in rows)
    persons = list(range(records))
    for group in solving.greedy_solve((similar[:enough], *cut)):
        whole = [places[data_set][row] for data_set, row in group]
        for at in whole:
            persons[at] = whole[0]
    return persons


def parts(frame):
    return [part for _, part in frame.groupby("agency")]


def filters(part):
    # All agencies need one layout, so a field that one of them lacks stays in, unset.
    fields = list(BITS)
    specs = [StringSpec(field, FieldHashingProperties(
        comparator=NgramComparison(2), strategy=BitsPerFeatureStrategy(BITS[field]),
        missing_value=MissingValueSpec(sentinel=""))) for field in fields]
    text = io.StringIO(part[fields].to_csv(index=False))
    layout = schema.Schema(specs, 1024)
    made = clk.generate_clk_from_csv(text, "a secret", layout, validate=False, progress_bar=False)
    return list(made)
