"""The tokens of the Open Privacy Preserving Record Linkage protocol, compared for equality.

PyPI's implementation of the protocol (carduus) runs on Spark and wants another `cryptography` than
clkhash does, so the three tokens are made here after the protocol's definition: initial or phonetic
name, surname, sex and date of birth. Hashing stands in for its two encryptions, which do not change
what is equal. A file without a sex column goes without it: generous.
"""

import hashlib
import re
from collections import defaultdict
from functools import cache

import jellyfish

import cluster

# Beyond this a token is a default value and no person.
MOST_EQUAL = 500


def link(frame, seconds):
    with seconds("tokens"):
        tokens = made(frame)
    with seconds("join"):
        groups = defaultdict(list)
        for at, mine in enumerate(tokens):
            for token in mine:
                groups[token].append(at)
        chains = (g for g in groups.values() if len(g) <= MOST_EQUAL)
        links = [pair for group in chains for pair in zip(group, group[1:])]
        persons = cluster.components(len(frame), links)
    yield "any of three tokens equal", persons


def made(frame):
    soundex, metaphone = cache(jellyfish.soundex), cache(jellyfish.metaphone)
    has_sex = (frame.sex != "").mean() > 0.02
    rows = zip(*(frame[field] for field in ("forename", "surname", "sex", "dob")))
    tokens = []
    for forename, surname, sex, dob in rows:
        forename, surname = (re.sub("[^a-z ]", "", name) for name in (forename, surname))
        if not (forename and surname and dob and (sex or not has_sex)):
            tokens.append([])
            continue
        rest = f"{sex[:1]}:{dob}"
        plain = [
            f"1:{forename[0]}:{surname}:{rest}",
            f"2:{soundex(forename)}:{soundex(surname)}:{rest}",
            f"3:{metaphone(forename)}:{metaphone(surname)}:{rest}",
        ]
        tokens.append([hashlib.sha512(token.encode()).digest()[:16] for token in plain])
    return tokens
