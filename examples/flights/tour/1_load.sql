-- A folder of CSV files is a source: columns are inferred, new files are found.
CREATE SOURCE flights FROM FILES ('examples/flights/data/*.csv') FORMAT CSV (HEADER true);

-- Reference data lives in a table.
CREATE TABLE airlines (carrier text PRIMARY KEY, name text NOT NULL);
\copy airlines FROM 'examples/flights/airlines.csv' WITH (FORMAT csv, HEADER true)

-- A pipeline is one object: its steps, its stored views and its sink appear at one epoch.
CREATE PIPELINE delays (
  clean      AS ( SELECT f.*, a.name AS airline FROM flights f JOIN airlines a USING (carrier) WHERE f.dep_delay IS NOT NULL ),
  by_carrier MATERIALIZED KEY (airline) AS ( SELECT airline, count(*) AS flights, avg(dep_delay) AS mean_delay, max(dep_delay) AS worst FROM clean GROUP BY airline ),
  by_day     MATERIALIZED AS ( SELECT month, day, count(*) AS flights, sum((dep_delay > 15)::int) AS late FROM clean GROUP BY month, day ),
  SINK lake FROM by_carrier INTO FILES './out/by_carrier' FORMAT PARQUET
) TRIGGER CONTINUOUS;

-- Everything that lies in the folder has been read when this returns.
WAIT FOR delays.by_carrier;
