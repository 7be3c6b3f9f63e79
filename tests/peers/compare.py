"""Runs Causeway and its peers on the same folders, each in a process of its own, and writes a table.

`compare.py --peer NAME FOLDER` is one peer's process: it prints what came out as JSON.
"""

import argparse
import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import records

PEERS = {"splink": "splink_peer", "splink-wide": "splink_peer", "clk": "clk", "opprl": "opprl"}
NAMES = {
    "splink": "Splink", "splink-wide": "Splink by its wide rules", "clk": "clkhash + anonlink",
    "opprl": "OPPRL tokens",
}
# Peers that go into no environment with the others have one of their own.
ENVIRONMENTS = {"opprl": "opprl"}
# Of more records than so many Splink's wide rules bring pairs that do not fit into 24 GiB.
WIDEST = 1_000_000


class Clock:
    """How long each step took."""

    def __init__(self):
        self.steps = {}

    @contextlib.contextmanager
    def __call__(self, step, only=True):
        began = time.monotonic()
        yield
        if only:
            self.steps[step] = self.steps.get(step, 0.0) + time.monotonic() - began


def run_peer(name, folder):
    """Links with one peer. Prints every way of clustering with its quality, and the steps' seconds."""
    peer = importlib.import_module(PEERS[name])
    clock = Clock()
    with clock("read"):
        frame = records.load(folder)
    result = {"records": len(frame), "ways": {}}
    wide = {"wide": True} if name == "splink-wide" else {}
    if name == "clk" and peer.comparisons(frame) > peer.MOST_COMPARISONS:
        result["skipped"] = f"{peer.comparisons(frame):.1e} comparisons: hours"
    elif wide and len(frame) > WIDEST:
        result["skipped"] = "more pairs than memory holds"
    elif not wide or len(frame) > peer.THOROUGH:
        # Of a small set Splink's own rules are the wide ones.
        for way, persons in peer.link(frame, clock, **wide):
            result["ways"][way] = records.quality(frame, persons)
    result["seconds"] = clock.steps
    print(json.dumps(result))


class Failed(Exception):
    """A command ended badly."""


def measured(command):
    """Runs a command that prints JSON. Returns it with the peak memory of its largest process."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        how = f"signal {-status}" if (status := os.waitstatus_to_exitcode(status)) < 0 else status
        raise Failed(f"ended with {how} at {usage.ru_maxrss / 1024:,.0f} MiB")
    return json.loads(printed), usage.ru_maxrss / 1024, time.monotonic() - began


def row(data, who, way, quality, seconds, count, rss):
    return {
        "data": data, "who": who, "way": way, **quality, "seconds": seconds,
        "records_per_second": count / seconds if seconds else None, "peak_rss_mib": rss,
    }


def ours(data, folder, town):
    """What `town link` makes of a folder: seconds from the exports to the persons."""
    report, _, whole = measured([town, "link", folder, "--json"])
    steps = report["seconds"]
    sweep = sum(steps[step] for step in ("stream", "group", "compare", "cluster"))
    memory = report["peak_rss_mib"]
    # All processes together: a coordinator, and nodes of which none used more than this.
    rss = memory["coordinator"] + report["agencies"] * memory["nodes"]
    quality, count = report["cluster"], report["records"]
    both = row(data, "Causeway", "exports to persons", quality, steps["ingest"] + sweep, count, rss)
    swept = row(data, "Causeway", "a sweep: what nodes keep to persons", quality, sweep, count, rss)
    return [{**both, "steps": steps, "wall_seconds": whole, "links": report["pairwise"]}, swept]


def theirs(data, folder, name, work):
    """A peer's rows. Where it leaves the threshold open, the best one is shown: generous."""
    own = ENVIRONMENTS.get(name)
    python = work / own / "bin/python" if own else sys.executable
    command = [python, __file__, "--peer", name, folder]
    nothing = {"data": data, "who": NAMES[name]}
    try:
        report, rss, _ = measured(command)
    except Failed as failed:
        # What the others did is worth its row all the same.
        return [{**nothing, "way": f"failed: {failed}"}]
    if "skipped" in report:
        return [{**nothing, "way": "not run: " + report["skipped"]}]
    if not report["ways"]:
        return []
    steps = report["seconds"]
    constrained = steps.pop("constrained", 0.0)
    own_way = steps.get("cluster", 0.0)
    seconds = sum(steps.values())
    ways = report["ways"]
    shown = []
    fair = ways.pop("constrained", None)
    best = max(ways, key=lambda way: ways[way]["f1"])
    shown.append(row(data, NAMES[name], best, ways[best], seconds, report["records"], rss))
    shown[0]["all"], shown[0]["steps"] = ways, steps
    if fair:
        way = "its scores, our kind of clustering"
        longer = seconds - own_way + constrained
        shown.append(row(data, NAMES[name], way, fair, longer, report["records"], rss))
    elif name == "splink":
        way = "its scores, our kind of clustering: not run, too many for Python's memory"
        shown.append({**nothing, "way": way})
    return shown


def markdown(rows):
    lines = [
        "| data | linkage | way | precision | recall | F1 | seconds | records/s | peak MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in rows:
        cells = [one["data"], one["who"], one["way"]]
        if "f1" in one:
            cells += [f"{one[part]:.4f}" for part in ("precision", "recall", "f1")]
            cells += [f"{one['seconds']:.1f}", f"{one['records_per_second']:,.0f}"]
            cells.append(f"{one['peak_rss_mib']:,.0f}")
        else:
            cells += [""] * 6
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def ratios(rows):
    """How our speed and errors compare with each peer's, for every data set, in words."""
    lines = []
    measured = [one for one in rows if one.get("records_per_second")]
    for data in dict.fromkeys(one["data"] for one in measured):
        here = [one for one in measured if one["data"] == data]
        both, swept = (one for one in here if one["who"] == "Causeway")
        for peer in (one for one in here if one["who"] != "Causeway"):
            sweep, whole = (
                mine["records_per_second"] / peer["records_per_second"] for mine in (swept, both)
            )
            lines.append(
                f"- {data}, beside {peer['who']} ({peer['way']}): a sweep takes in {sweep:.1f} times as many "
                f"records a second, {whole:.1f} times with ingest; F1 {swept['f1']:.4f} and {peer['f1']:.4f}\n"
            )
    return "".join(lines)


def people(town, work, each):
    """Writes a generated town of five agencies, unless it is there already."""
    folder = work / f"people-5x{each}"
    if not folder.exists():
        command = [town, "people", folder, "--agencies", "5", "--people", str(each)]
        subprocess.run(command, check=True)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", choices=PEERS)
    parser.add_argument("--town", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--speed", type=int, metavar="PEOPLE")
    parser.add_argument("folders", nargs="*", type=Path)
    args = parser.parse_args()
    if args.peer:
        return run_peer(args.peer, args.folders[0])
    folders, name = args.folders, "speed" if args.speed else "peers"
    if args.speed or not folders:
        folders = [*folders, people(args.town, args.work, args.speed or 4000)]
    rows = []
    for folder in folders:
        rows += ours(folder.name, folder, args.town)
        for peer in PEERS:
            print(f"{folder.name}: {peer}", file=sys.stderr)
            rows += theirs(folder.name, folder, peer, args.work)
        # After each folder, so that nothing is lost when it is stopped.
        (args.work / f"{name}.json").write_text(json.dumps(rows, indent=1))
        (args.work / f"{name}.md").write_text(markdown(rows) + "\n" + ratios(rows))
    print(markdown(rows) + "\n" + ratios(rows), end="")


if __name__ == "__main__":
    main()
