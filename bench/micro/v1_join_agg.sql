-- Revenue and lines of each nation and month.
SELECT c.nation, o.odate / 30 AS month, sum(l.price * (100 - l.disc)) AS revenue, count(*) AS n
FROM customer c JOIN orders o ON o.ckey = c.ckey JOIN lineitem l ON l.okey = o.okey
GROUP BY c.nation, o.odate / 30
