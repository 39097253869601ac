-- Totals of three groups: every change meets the same rows.
SELECT flag, sum(qty) AS qty, sum(price) AS price, sum(price * (100 - disc)) AS net, count(*) AS n
FROM lineitem
GROUP BY flag
