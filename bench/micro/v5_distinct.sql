-- Different parts of the orders of each status.
SELECT o.status, count(DISTINCT l.part) AS parts
FROM orders o JOIN lineitem l ON l.okey = o.okey
GROUP BY o.status
