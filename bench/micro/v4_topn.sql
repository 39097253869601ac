-- The ten customers with most revenue.
SELECT *
FROM (
  SELECT ckey, revenue, row_number() OVER (ORDER BY revenue DESC, ckey) AS rn
  FROM (
    SELECT o.ckey, sum(l.price * (100 - l.disc)) AS revenue
    FROM orders o JOIN lineitem l ON l.okey = o.okey
    GROUP BY o.ckey
  ) customers
) ranked
WHERE rn <= 10
