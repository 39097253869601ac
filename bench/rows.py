"""Input files: the same rows for the same arguments, on every machine.

A row is `id bigint, key bigint, amount double precision, made_at timestamp`: narrow, as rows of facts are. Row `i` is
a function of `i` alone, so a longer file begins with a shorter one.
"""

import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

KEYS = 10_000
EPOCH_US = 1_704_067_200_000_000
CHUNK = 1_000_000
COLUMNS = "id bigint, key bigint, amount double precision, made_at timestamp"


def scramble(i: np.ndarray) -> np.ndarray:
    """Sixty-four mixed bits of each number (splitmix64)."""
    with np.errstate(over="ignore"):
        z = i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def table(first: int, count: int) -> pa.Table:
    """Rows `first` to `first + count`."""
    i = np.arange(first, first + count, dtype=np.int64)
    bits = scramble(i)
    amount = (bits % np.uint64(1_000_000)).astype(np.float64) / 100.0
    return pa.table({
        "id": i,
        "key": (bits >> np.uint64(32)).astype(np.int64) % KEYS,
        "amount": amount,
        "made_at": pa.array(EPOCH_US + i * 1000, type=pa.timestamp("us")),
    })


def write(folder: pathlib.Path, kind: str, rows: int, first: int = 0) -> list[pathlib.Path]:
    """Writes the rows as files of a million each and returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for start in range(first, first + rows, CHUNK):
        part = table(start, min(CHUNK, first + rows - start))
        path = folder / f"{start:012}.{kind}"
        if kind == "csv":
            options = pyarrow.csv.WriteOptions(quoting_style="none")
            pyarrow.csv.write_csv(part, path, options)
        else:
            pyarrow.parquet.write_table(part, path, compression="zstd", row_group_size=131_072)
        files.append(path)
    return files
