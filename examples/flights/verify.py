#!/usr/bin/env python3
"""Proves the answers of the demo with DuckDB, while no server runs.

    python verify.py WORK

WORK is the folder of `demo.sh`. Every relation that psql printed before the stop is compared, row by
row, with the Parquet files of the view, of the sink and of the lineage tables; and the views are
compared with what DuckDB itself computes from the CSV files. Fails with the first difference.
"""

import csv
import math
import pathlib
import sys

import duckdb

CLEAN = """
    CREATE TEMP VIEW flights AS
      SELECT * FROM read_csv('{work}/examples/flights/data/*.csv', header = true, sample_size = -1);
    CREATE TEMP VIEW airlines AS
      SELECT carrier, CASE carrier WHEN '9E' THEN 'Endeavor Air' ELSE name END AS name
      FROM read_csv('{work}/examples/flights/airlines.csv', header = true);
    CREATE TEMP VIEW clean AS
      SELECT f.*, a.name AS airline FROM flights f JOIN airlines a USING (carrier)
      WHERE f.dep_delay IS NOT NULL;
"""
BY_CARRIER = """
    SELECT airline, count(*) AS flights, avg(dep_delay) AS mean_delay, max(dep_delay) AS worst
    FROM clean GROUP BY airline
"""
BY_DAY = """
    SELECT month, day, count(*) AS flights, sum((dep_delay > 15)::int) AS late
    FROM clean GROUP BY month, day
"""

Rows = list[tuple]


def printed(path: pathlib.Path) -> tuple[list[str], Rows]:
    """What psql printed: column names and rows of texts, an empty field being NULL."""
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    return header, [tuple(row) for row in rows]


def same(text: str, value: object, exact: bool) -> bool:
    """Whether a printed field stands for the value."""
    if value is None:
        return text == ""
    if isinstance(value, bool):
        return text == ("t" if value else "f")
    if isinstance(value, float):
        return float(text) == value or (not exact and math.isclose(float(text), value, rel_tol=1e-12))
    if isinstance(value, (list, tuple)):
        return text.strip("{}").split(",") == [str(item) for item in value]
    return text == str(value)


def compare(what: str, want: Rows, got: Rows, exact: bool = True) -> None:
    """Compares two bags of rows; ends the program at the first difference."""
    if len(want) != len(got):
        sys.exit(f"{what}: {len(got)} rows, psql printed {len(want)}")
    rest = list(got)
    for row in want:
        for index, other in enumerate(rest):
            if len(row) == len(other) and all(same(a, b, exact) for a, b in zip(row, other)):
                del rest[index]
                break
        else:
            sys.exit(f"{what}: no row equals {row}\nleft over: {rest[:5]}")
    print(f"  {what}: {len(want)} rows, equal")


def parquet_of(work: pathlib.Path, relation: str) -> str:
    """The glob of a relation's files in the data folder of the database."""
    folders = list((work / "levada-data" / "data").glob(f"{relation}-*"))
    if len(folders) != 1:
        sys.exit(f"{relation}: {len(folders)} folders of that name in the data folder")
    return f"{folders[0]}/*.parquet"


def read(db: duckdb.DuckDBPyConnection, files: str, header: list[str]) -> Rows:
    """The rows of Parquet files, in the order of the printed columns."""
    columns = ", ".join(f'"{name}"' for name in header)
    return db.execute(f"SELECT {columns} FROM read_parquet('{files}')").fetchall()


def main() -> None:
    """Runs every comparison."""
    work = pathlib.Path(sys.argv[1])
    db = duckdb.connect()
    db.execute(CLEAN.format(work=work))
    header, by_carrier = printed(work / "after" / "by_carrier.csv")
    files = parquet_of(work, "delays.by_carrier")
    compare("the view's Parquet", by_carrier, read(db, files, header))
    compare("the sink's Parquet", by_carrier, read(db, f"{work}/out/by_carrier/*.parquet", header))
    compare("DuckDB over the CSV files", by_carrier, db.execute(BY_CARRIER).fetchall(), exact=False)

    header, by_day = printed(work / "after" / "by_day.csv")
    compare("the other view's Parquet", by_day, read(db, parquet_of(work, "delays.by_day"), header))
    compare("DuckDB over the CSV files", by_day, db.execute(BY_DAY).fetchall())

    header, airlines = printed(work / "after" / "airlines.csv")
    compare("the table's Parquet", airlines, read(db, parquet_of(work, "public.airlines"), header))

    _, totals = printed(work / "after" / "flights.csv")
    kept = parquet_of(work, "public.flights")
    query = "SELECT count(*), sum(flight), sum(distance) FROM "
    compare("the kept rows of the source", totals,
            db.execute(f"{query} read_parquet('{kept}')").fetchall())
    compare("the CSV files", totals, db.execute(f"{query} flights").fetchall())

    for relation in ("lineage", "column_lineage"):
        header, rows = printed(work / f"{relation}.csv")
        if not rows:
            sys.exit(f"sys.{relation} is empty")
        compare(f"sys.{relation}", rows, read(db, parquet_of(work, f"sys.{relation}"), header))


if __name__ == "__main__":
    main()
