-- How each part of a query is kept right, and what a change costs.
EXPLAIN INCREMENTAL SELECT origin, count(*) AS flights, avg(arr_delay) AS mean_delay FROM flights GROUP BY origin;

-- Where each column comes from.
EXPLAIN LINEAGE delays.by_carrier;

-- The proof: recompute the view with the batch engine and compare bit for bit.
CHECK INCREMENTAL delays.by_carrier;
CHECK INCREMENTAL delays.by_day;
