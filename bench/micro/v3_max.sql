-- Highest and lowest price of each part.
SELECT part, max(price) AS top, min(price) AS low, count(*) AS n FROM lineitem GROUP BY part
