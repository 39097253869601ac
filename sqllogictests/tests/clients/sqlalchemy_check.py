"""psycopg and SQLAlchemy against a server: connect, create, insert, select, reflect."""

import datetime
import decimal
import sys

import psycopg
import sqlalchemy
from sqlalchemy import inspect, text

port = int(sys.argv[1])

with psycopg.connect(f"host=127.0.0.1 port={port} user=admin dbname=main", autocommit=True) as db:
    db.execute("CREATE TABLE py (id int PRIMARY KEY, name text NOT NULL, x double precision,"
               " n numeric(10,2), d date, at timestamp, ok boolean)")
    rows = [
        (1, "one", 1.5, decimal.Decimal("2.50"), datetime.date(2024, 2, 29),
         datetime.datetime(2024, 2, 29, 12, 30), True),
        (2, "", None, None, None, None, None),
    ]
    with db.cursor() as cursor:
        cursor.executemany("INSERT INTO py VALUES (%s, %s, %s, %s, %s, %s, %s)", rows)
        cursor.execute("SELECT * FROM py ORDER BY id")
        assert cursor.fetchall() == rows, "parameters and results round trip"
        cursor.execute("SELECT name FROM py WHERE id = %s", (1,), prepare=True)
        assert cursor.fetchone() == ("one",), "prepared statements"
        cursor.execute("SELECT id FROM py ORDER BY id", binary=True)
        assert cursor.fetchall() == [(1,), (2,)], "binary results"
    db.execute("CREATE MATERIALIZED VIEW py_view AS"
               " SELECT ok, count(*) AS n, sum(x) AS s FROM py GROUP BY ok")
    try:
        db.execute("SELECT nope FROM py")
        raise AssertionError("an unknown column is an error")
    except psycopg.errors.UndefinedColumn as error:
        assert error.sqlstate == "42703"
    with db.transaction():
        db.execute("INSERT INTO py (id, name, ok) VALUES (3, 'three', true)")
    try:
        with db.transaction():
            db.execute("INSERT INTO py (id, name) VALUES (4, 'four')")
            raise KeyError("rolled back")
    except KeyError:
        pass
    found = db.execute("SELECT ok, n FROM py_view ORDER BY ok NULLS LAST").fetchall()
    assert found == [(True, 2), (None, 1)], found

engine = sqlalchemy.create_engine(f"postgresql+psycopg://admin@127.0.0.1:{port}/main")
with engine.begin() as connection:
    connection.execute(text("INSERT INTO py (id, name) VALUES (:id, :name)"),
                       [{"id": 10, "name": "ten"}, {"id": 11, "name": "eleven"}])
with engine.connect() as connection:
    count = connection.execute(text("SELECT count(*) FROM py")).scalar_one()
    assert count == 5, count

inspector = inspect(engine)
assert "py" in inspector.get_table_names(), inspector.get_table_names()
assert "py_view" in inspector.get_materialized_view_names()
columns = {c["name"]: c for c in inspector.get_columns("py")}
assert list(columns) == ["id", "name", "x", "n", "d", "at", "ok"], list(columns)
assert isinstance(columns["id"]["type"], sqlalchemy.INTEGER), columns["id"]
assert isinstance(columns["n"]["type"], sqlalchemy.NUMERIC), columns["n"]
assert isinstance(columns["at"]["type"], sqlalchemy.TIMESTAMP), columns["at"]
assert not columns["name"]["nullable"] and columns["x"]["nullable"]
assert inspector.get_pk_constraint("py")["constrained_columns"] == ["id"]

metadata = sqlalchemy.MetaData()
table = sqlalchemy.Table("py", metadata, autoload_with=engine)
with engine.connect() as connection:
    query = sqlalchemy.select(table.c.name).where(table.c.id >= 10).order_by(table.c.id)
    assert connection.execute(query).scalars().all() == ["ten", "eleven"]
print("ok")
