"""The measures. Each yields results; a result that has a goal says whether it is met."""

import dataclasses
import os
import pathlib
import statistics
import time

import rows
from process import Server

STARTS = 20
INSERTS_WARM = 100
INSERTS = 1000
IDLE_SECONDS = 10.0
CSV_ROWS = 5_000_000
PARQUET_ROWS = 20_000_000
STATE_ROWS = (10_000, 10_000_000)
DELTA_ROWS = 100
STREAM_ROWS = 10_000_000

PIPELINE = """
CREATE PIPELINE shop (
  big       AS ( SELECT o.*, c.country FROM orders o JOIN customers c ON c.id = o.customer WHERE o.amount > 0 ),
  by_country  MATERIALIZED AS ( SELECT country, count(*) AS orders, sum(amount) AS total FROM big GROUP BY country ),
  by_customer MATERIALIZED AS ( SELECT customer, count(*) AS orders, max(amount) AS highest FROM big GROUP BY customer ),
  countries   MATERIALIZED AS ( SELECT count(*) AS countries, sum(orders) AS orders FROM by_country )
)
"""


@dataclasses.dataclass
class Run:
    """What a measure runs against."""

    binary: pathlib.Path
    folder: pathlib.Path
    scale: float

    def server(self, name: str, cores: set[int] | None = None) -> Server:
        """A server in a folder of its own."""
        return Server(self.binary, self.folder / name, cores)

    def scaled(self, count: int) -> int:
        """The number of rows of this run."""
        return max(100, int(count * self.scale))


@dataclasses.dataclass
class Result:
    """One number."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False
    note: str = ""

    def met(self) -> bool | None:
        """Whether the goal is met; none without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def line(self) -> str:
        """A line of the printed table."""
        sign = ">=" if self.at_least else "<="
        goal = "" if self.goal is None else f"{'ok    ' if self.met() else 'MISSED'} {sign} {self.goal:,g}"
        return f"{self.name:<34} {self.value:>16,.3f} {self.unit:<8} {goal:<22} {self.note}".rstrip()

    def data(self) -> dict:
        """The form in JSON."""
        fields = {key: value for key, value in dataclasses.asdict(self).items() if value not in (None, "")}
        return {**fields, "met": self.met()}


def quantile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def start(run: Run):
    """From exec to the answer of the first SELECT, on an empty database; and again with tables."""
    seconds = []
    for number in range(STARTS):
        with run.server(f"empty-{number}") as server:
            seconds.append(server.start_seconds * 1000)
    yield Result("start.empty.p50", statistics.median(seconds), "ms", 300)
    yield Result("start.empty.max", max(seconds), "ms", note=f"of {STARTS}")


def idle(run: Run):
    """What a server costs that has nothing to do: with three views and their source, at rest."""
    with run.server("idle") as server:
        with server.connect() as connection:
            shop(connection)
        time.sleep(2)
        before = server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        percent = (server.cpu_seconds() - before) / IDLE_SECONDS * 100
        yield Result("idle.cpu", percent, "%", 1)
        yield Result("idle.memory", server.resident_bytes() / 1e6, "MB", 100)


def shop(connection) -> None:
    """The tables and the three-view pipeline of `insert`."""
    connection.execute("CREATE TABLE customers (id bigint PRIMARY KEY, country text NOT NULL)")
    connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint, amount double precision)")
    values = ", ".join(f"({number}, 'country {number % 20}')" for number in range(1000))
    connection.execute(f"INSERT INTO customers VALUES {values}")
    connection.execute(PIPELINE)


def insert(run: Run):
    """One row in, the answer out: by then it is on disk and in all three views."""
    with run.server("insert") as server, server.connect() as connection:
        shop(connection)
        alone, read = [], []
        for number in range(INSERTS_WARM + INSERTS):
            begin = time.perf_counter()
            connection.execute(f"INSERT INTO orders VALUES ({number}, {number % 1000}, {number}.5)")
            middle = time.perf_counter()
            seen = connection.execute("SELECT orders FROM shop.countries").fetchone()
            end = time.perf_counter()
            if seen != (number + 1,):
                raise RuntimeError(f"insert {number} is not visible: {seen}")
            if number >= INSERTS_WARM:
                alone.append((middle - begin) * 1000)
                read.append((end - begin) * 1000)
        yield Result("insert.p50", statistics.median(alone), "ms", note="durable and in three views")
        yield Result("insert.p99", quantile(alone, 0.99), "ms")
        yield Result("insert.and_read.p50", statistics.median(read), "ms", 10)
        yield Result("insert.and_read.p99", quantile(read, 0.99), "ms")
    yield Result("disk.sync.p50", statistics.median(sync_times(run.folder)), "ms", note="write, sync, rename, sync")


def sync_times(folder: pathlib.Path) -> list[float]:
    """What the disk takes for one durable file, without any database."""
    times = []
    directory = os.open(folder, os.O_RDONLY)
    for number in range(200):
        begin = time.perf_counter()
        file = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT)
        os.write(file, bytes(1024))
        os.fsync(file)
        os.close(file)
        os.rename(folder / "probe", folder / f"probe-{number}")
        os.fsync(directory)
        times.append((time.perf_counter() - begin) * 1000)
    os.close(directory)
    return times


def ingest(run: Run, kind: str, count: int, goal: float):
    """Files dropped into the folder of a source, until a count-by-key view shows every row."""
    count = run.scaled(count)
    staged = rows.write(run.folder / "staged", kind, count, first=1)
    with run.server(kind, cores={max(os.sched_getaffinity(0))}) as server:
        rows.write(server.folder / "in", kind, 1)
        with server.connect() as connection:
            options = " (HEADER true)" if kind == "csv" else ""
            connection.execute(
                f"CREATE SOURCE facts ({rows.COLUMNS}) FROM FILES ('in/*.{kind}') FORMAT {kind}{options}"
            )
            connection.execute(
                "CREATE MATERIALIZED VIEW by_key AS SELECT key, count(*) AS n FROM facts GROUP BY key"
            )
            connection.execute("WAIT FOR by_key")
            cpu, begin = server.cpu_seconds(), time.perf_counter()
            for path in staged:
                path.rename(server.folder / "in" / path.name)
            connection.execute("WAIT FOR by_key")
            seconds, cpu = time.perf_counter() - begin, server.cpu_seconds() - cpu
            seen = connection.execute("SELECT sum(n) FROM by_key").fetchone()
            if int(seen[0]) != count + 1:
                raise RuntimeError(f"{count + 1} rows went in, the view counts {seen[0]}")
        yield Result(f"ingest.{kind}", count / seconds, "rows/s", goal, True, f"{count:,} rows on one core")
        yield Result(f"ingest.{kind}.cpu", count / cpu, "rows/s", note="per second of CPU time")
        yield Result(f"ingest.{kind}.memory", server.resident_bytes_max() / 1e6, "MB", note="at most")


def csv(run: Run):
    """CSV into a count-by-key view."""
    yield from ingest(run, "csv", CSV_ROWS, 300_000)


def parquet(run: Run):
    """Parquet into a count-by-key view."""
    yield from ingest(run, "parquet", PARQUET_ROWS, 2_000_000)


TOUCHED = "SELECT coalesce(sum(state_rows_touched), 0), coalesce(sum(state_rows), 0) FROM sys.operators"


def delta(run: Run):
    """State that a delta of 100 rows touches, with little and with much state; counted, not timed."""
    touched = []
    for count in (run.scaled(count) for count in STATE_ROWS):
        name = f"delta-{count}"
        with run.server(name) as server:
            rows.write(server.folder / "in", "parquet", count)
            with server.connect() as connection:
                connection.execute(
                    f"CREATE SOURCE facts ({rows.COLUMNS}) FROM FILES ('in/*.parquet') FORMAT PARQUET"
                )
                connection.execute("CREATE TABLE changes (id bigint, amount double precision)")
                connection.execute(
                    "CREATE MATERIALIZED VIEW joined AS SELECT f.id, f.amount, c.amount AS change "
                    "FROM facts f JOIN changes c ON c.id = f.id"
                )
                connection.execute(
                    "CREATE MATERIALIZED VIEW grouped AS SELECT id, count(*) AS n, sum(amount) AS total "
                    "FROM (SELECT id, amount FROM facts UNION ALL SELECT id, amount FROM changes) a GROUP BY id"
                )
                connection.execute("WAIT FOR grouped")
                connection.execute("WAIT FOR joined")
                before, state = connection.execute(TOUCHED).fetchone()
                if int(state) < count:
                    raise RuntimeError(f"{state} rows of state for {count} rows of input")
                values = ", ".join(f"({number * (count // DELTA_ROWS)}, 1.5)" for number in range(DELTA_ROWS))
                begin = time.perf_counter()
                connection.execute(f"INSERT INTO changes VALUES {values}")
                seconds = time.perf_counter() - begin
                after, _ = connection.execute(TOUCHED).fetchone()
                matches = connection.execute("SELECT count(*) FROM joined").fetchone()[0]
                if matches != DELTA_ROWS:
                    raise RuntimeError(f"{matches} rows joined, expected {DELTA_ROWS}")
            touched.append(int(after) - int(before))
            note = f"{int(state):,} rows of state"
            yield Result(f"delta.touched.{count}", touched[-1], "rows", note=note)
            yield Result(f"delta.time.{count}", seconds * 1000, "ms", note="for comparison only")
            yield Result(f"delta.memory.{count}", server.resident_bytes() / 1e6, "MB")
    yield Result("delta.touched.ratio", touched[1] / max(1, touched[0]), "x", 1.1, note="much to little state")


def stream(run: Run):
    """A large result over the wire: memory must not follow its size."""
    count = run.scaled(STREAM_ROWS)
    with run.server("stream") as server:
        rows.write(server.folder / "in", "parquet", count)
        with server.connect() as connection:
            connection.execute(
                f"CREATE SOURCE facts ({rows.COLUMNS}) FROM FILES ('in/*.parquet') FORMAT PARQUET"
            )
            connection.execute("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM facts")
            connection.execute("WAIT FOR n")
        server.stop()
    with run.server("stream") as server, server.connect() as connection:
        before, begin, size = server.resident_bytes(), time.perf_counter(), 0
        with connection.cursor().copy("COPY (SELECT * FROM facts) TO STDOUT") as data:
            for block in data:
                size += len(block)
        seconds = time.perf_counter() - begin
        grown = (server.resident_bytes_max() - before) / 1e6
        yield Result("stream.memory", grown, "MB", note=f"above rest, for {size / 1e6:,.0f} MB of result")
        yield Result("stream.rate", count / seconds, "rows/s")


ALL = {
    "start": start,
    "idle": idle,
    "insert": insert,
    "csv": csv,
    "parquet": parquet,
    "delta": delta,
    "stream": stream,
}
