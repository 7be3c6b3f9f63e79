"""The tokens of the Open Privacy Preserving Record Linkage protocol, compared for equality.

They are made by the protocol's own implementation, spindle-token, which runs on Spark.
"""

import os
import sys
import tempfile
from collections import defaultdict

import cluster
import pandas as pd
import records
from pyspark.sql import SparkSession
from spindle_token import generate_pem_keys, tokenize
from spindle_token.opprl import OpprlV2 as Opprl

# Beyond this a token is a default value and no person.
MOST_EQUAL = 500
# Names as they are or as they sound, with the date of birth and the sex, or where there is no column of it without.
WITH_SEX = [Opprl.token1, Opprl.token2, Opprl.token3]
WITHOUT_SEX = [Opprl.token4, Opprl.token5, Opprl.token6]
# A number with a forename or a date of birth, and email addresses.
FURTHER = {
    "phone": [Opprl.token7, Opprl.token8],
    "other_id": [Opprl.token9, Opprl.token10],
    "email": [Opprl.token11],
}


def link(frame, seconds):
    filled = {name for name in frame.columns if (frame[name] != "").mean() > records.FILLED}
    names = WITH_SEX if "sex" in filled else WITHOUT_SEX
    further = [token for name, tokens in FURTHER.items() if name in filled for token in tokens]
    with tempfile.TemporaryDirectory() as folder:
        with seconds("tokens"):
            made(frame, [*names, *further], folder)
        ways = {"any token equal": [*names, *further], "any token of names equal": names}
        for way, tokens in ways.items():
            with seconds("join", only=tokens is not names):
                persons = joined(len(frame), tokens, folder)
            yield way, persons


def made(frame, tokens, folder):
    """Writes every record's tokens into a folder."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false")
    for setting, value in {
        "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "4g", "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }.items():
        builder = builder.config(setting, value)
    spark = builder.getOrCreate()
    # Phone numbers without a country's code are British in the sets that have any.
    phone = type(Opprl.phone)(Opprl.phone.attr_id, "GB")
    columns = {
        Opprl.first_name: "forename", Opprl.last_name: "surname", Opprl.gender: "sex",
        Opprl.birth_date: "dob", phone: "phone", Opprl.ssn: "other_id", Opprl.email: "email",
    }
    frame[["id", *columns.values()]].replace({"": None}).to_parquet(f"{folder}/people")
    private_key, _ = generate_pem_keys()
    people = spark.read.parquet(f"{folder}/people").repartition(os.cpu_count())
    result = tokenize(people, columns, tokens, private_key)
    result.select("id", *(token.name for token in tokens)).write.parquet(f"{folder}/tokens")
    spark.stop()


def joined(count, tokens, folder):
    """Whoever shares a token is one person."""
    links = []
    for token in tokens:
        made = pd.read_parquet(f"{folder}/tokens", columns=["id", token.name]).dropna()
        groups = defaultdict(list)
        for at, value in zip(made.id.tolist(), made[token.name].tolist()):
            groups[value].append(at)
        chains = (group for group in groups.values() if len(group) <= MOST_EQUAL)
        links += [pair for group in chains for pair in zip(group, group[1:])]
    return cluster.components(count, links)
