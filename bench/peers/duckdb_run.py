#!/usr/bin/env python3
"""DuckDB on the files of levada-bench: one process per query, one JSON line each, the keys of levada-bench.

    duckdb_run.py nexmark DIR [q5,q7]     one computation of each view from the files into a table
    duckdb_run.py tpch DIR [q1,q2]        each query, the best of three runs
    duckdb_run.py orders DIR              five views computed anew after each delta

--threads N  threads (2)      --runs N  runs of each Nexmark query (1)
"""

import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
MACROS = [
    "CREATE MACRO date_bin(step, moment) AS time_bucket(step, moment)",
    "CREATE MACRO to_char(moment, form) AS strftime(moment, form)",
]
NEXMARK = ["person", "auction", "bid", "side_input"]
TPCH = ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"]
VIEWS = ["v1_join_agg", "v2_agg", "v3_max", "v4_topn", "v5_distinct"]


def counted_columns():
    """The columns that make the check value, by query: read from the list that levada-bench has."""
    source = (HERE / "src/nexmark/query.rs").read_text()
    named = re.search(r"const PRICES.*?&\[(.*?)\];", source, re.S).group(1)
    found = {}
    pattern = r'query\(\s*"(q\d+)",\s*include_str!\([^)]*\),\s*(None|Some\((?:&\[(.*?)\]|PRICES)\))'
    for match in re.finditer(pattern, source, re.S):
        if match.group(2) != "None":
            found[match.group(1)] = re.findall(r'"(\w+)"', match.group(3) or named)
    return found


def answer(connection, relation, counted=None):
    """Row count and check value of a relation."""
    terms = []
    for name, kind in connection.execute(f"SELECT * FROM {relation} LIMIT 0").description_pairs:
        if counted and name not in counted:
            continue
        if re.match(r"U?(TINY|SMALL|BIG|HUGE)?INT", kind) or kind == "INTEGER":
            terms.append(f'coalesce(sum(CAST("{name}" AS HUGEINT)), 0)')
        elif kind.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
            terms.append(f'coalesce(sum(CAST(trunc("{name}") AS HUGEINT)), 0)')
        elif kind == "VARCHAR":
            terms.append(f'coalesce(sum(strlen("{name}")), 0)')
    total = " + ".join(terms) or "0"
    rows, check = connection.execute(f"SELECT count(*), {total} FROM {relation}").fetchone()
    return rows, int(check)


class Connection:
    """A connection whose descriptions tell names and types as text."""

    def __init__(self, threads):
        import duckdb

        self.version = duckdb.__version__
        self.inner = duckdb.connect()
        self.inner.execute(f"SET threads = {threads}")
        for macro in MACROS:
            self.inner.execute(macro)

    def execute(self, sql):
        self.inner.execute(sql)
        return self

    def fetchone(self):
        return self.inner.fetchone()

    def fetchall(self):
        return self.inner.fetchall()

    @property
    def description_pairs(self):
        return [(column[0], str(column[1])) for column in self.inner.description]


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def line(connection, arguments, **keys):
    common = {"id": f"duckdb-{arguments.threads}", "peer": "duckdb", "version": connection.version,
              "bench": arguments.bench, "mode": "recompute", "threads": arguments.threads}
    print(json.dumps({**common, **keys}), flush=True)


def sql_of(folder, name):
    """A query, with what DuckDB writes in another way."""
    text = (HERE / folder / f"{name}.sql").read_text()
    # One function there gives a group of a match; it gives the empty text where there is no match.
    pattern = r"regexp_match\((\w+), ('[^']*')\)\[(\d)\]"
    return re.sub(pattern, r"nullif(regexp_extract(\1, \2, \3), '')", text)


def nexmark(arguments):
    names = arguments.queries or [f"q{i}" for i in range(23)]
    if len(names) > 1 or arguments.runs > 1:
        for name in names:
            for _ in range(arguments.runs):
                command = [sys.executable, __file__, "nexmark", arguments.dir, name]
                subprocess.run(command + ["--threads", str(arguments.threads)], check=True)
        return
    events = json.loads((pathlib.Path(arguments.dir) / "meta.json").read_text())["events"]
    connection = Connection(arguments.threads)
    for table in NEXMARK:
        connection.execute(f"CREATE VIEW {table} AS FROM '{arguments.dir}/{table}.parquet'")
    cpu, began = cpu_seconds(), time.perf_counter()
    connection.execute(f"CREATE TABLE result AS {sql_of('nexmark', names[0])}")
    wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    peak = peak_mb()
    rows, check = answer(connection, "result", counted_columns().get(names[0]))
    line(connection, arguments, query=names[0], events=events, wall_s=round(wall, 4),
         events_per_s=round(events / wall), cpu_s=round(cpu, 3), peak_rss_mb=peak, rows=rows,
         check=check)


def tpch(arguments):
    connection = Connection(arguments.threads)
    for table in TPCH:
        connection.execute(f"CREATE VIEW {table} AS FROM '{arguments.dir}/{table}.parquet'")
    for name in arguments.queries or [f"q{i}" for i in range(1, 23)]:
        best = None
        for _ in range(3):
            cpu, began = cpu_seconds(), time.perf_counter()
            connection.execute(f"CREATE OR REPLACE TABLE result AS {sql_of('tpch', name)}")
            wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
            if best is None or wall < best[0]:
                best = (wall, cpu)
        rows, check = answer(connection, "result")
        line(connection, arguments, query=name, wall_ms=round(best[0] * 1e3, 3),
             cpu_s=round(best[1], 3), peak_rss_mb=peak_mb(), rows=rows, check=check)


def apply(connection, folder):
    keys = {"orders": ["okey"], "lineitem": ["okey", "lno"]}
    for table, columns in keys.items():
        delta = f"'{folder}/{table}.parquet'"
        same = " AND ".join(f"d.{column} = {table}.{column}" for column in columns)
        connection.execute(f"DELETE FROM {table} USING (FROM {delta}) d WHERE d.w < 0 AND {same}")
        # A row that comes and goes in one delta is not there behind it.
        connection.execute(f"INSERT INTO {table} SELECT * EXCLUDE (w) FROM {delta} "
                           "GROUP BY ALL HAVING sum(w) > 0")


def orders(arguments):
    connection = Connection(arguments.threads)
    for table in ["customer", "orders", "lineitem"]:
        connection.execute(f"CREATE TABLE {table} AS FROM '{arguments.dir}/init/{table}.parquet'")
    # Whole numbers divide to a fraction there.
    texts = {view: sql_of("micro", view).replace(" / 30", " // 30") for view in VIEWS}

    def compute(view):
        began = time.perf_counter()
        connection.execute(f"CREATE OR REPLACE TABLE {view} AS {texts[view]}")
        return (time.perf_counter() - began) * 1e3

    for view in VIEWS:
        line(connection, arguments, query=view, what="initial", ms=round(compute(view), 3))
    times = {}
    listed = json.loads((pathlib.Path(arguments.dir) / "deltas.json").read_text())["deltas"]
    for delta in listed:
        apply(connection, os.path.join(arguments.dir, delta["dir"]))
        for view in VIEWS:
            times.setdefault((view, delta["size"]), []).append(compute(view))
    for (view, size), all_ms in times.items():
        line(connection, arguments, query=view, what="refresh", delta=size,
             refresh_ms_median=round(statistics.median(all_ms), 3))
    for view in VIEWS:
        rows, check = answer(connection, view)
        line(connection, arguments, query=view, what="final", rows=rows, check=check,
             peak_rss_mb=peak_mb())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", choices=["nexmark", "tpch", "orders"])
    parser.add_argument("dir")
    parser.add_argument("queries", nargs="?", type=lambda text: text.split(","))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    arguments.dir = os.path.abspath(arguments.dir)
    {"nexmark": nexmark, "tpch": tpch, "orders": orders}[arguments.bench](arguments)


main()
