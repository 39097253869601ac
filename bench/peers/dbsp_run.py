#!/usr/bin/env python3
"""A compiled runner of dbsp circuits on the files of levada-bench.

    dbsp_run.py --dbsp PATH nexmark DIR [q5,q7]     PATH DIR QUERY WORKERS prints one JSON line
    dbsp_run.py --dbsp PATH orders DIR              PATH DIR WORKERS prints JSON lines

The lines of the runner are passed on with the keys `id`, `bench` and `mode`, so that
`levada-bench report` puts them into its table. A query that the runner does not know is left out.
"""

import argparse
import json
import subprocess
import sys


def lines_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(f"{' '.join(command)}: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return []
    return [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dbsp", required=True, metavar="PATH")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("bench", choices=["nexmark", "orders"])
    parser.add_argument("dir")
    parser.add_argument("queries", nargs="?", type=lambda text: text.split(","))
    a = parser.parse_args()
    workers = str(a.workers)
    if a.bench == "orders":
        commands = [[a.dbsp, a.dir, workers]]
    else:
        names = a.queries or [f"q{i}" for i in range(23)]
        commands = [[a.dbsp, a.dir, name, workers] for name in names for _ in range(a.runs)]
    common = {"id": f"dbsp-{workers}", "bench": a.bench, "mode": "maintain", "threads": a.workers}
    for command in commands:
        for line in lines_of(command):
            if "view" in line:
                line["query"] = line.pop("view")
                line.setdefault("what", "refresh")
            print(json.dumps({**common, **line}), flush=True)


main()
