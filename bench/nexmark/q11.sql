-- Bids of each person in each session: bids less than ten seconds apart belong together.
-- Of bids at one time the one that opens a session comes first.
SELECT bidder, session, count(*) AS bid_count, min(date_time) AS begins, max(date_time) AS ends
FROM (
  SELECT bidder, date_time,
    sum(opens) OVER (
      PARTITION BY bidder ORDER BY date_time, opens DESC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS session
  FROM (
    SELECT bidder, date_time,
      CASE WHEN date_time - lag(date_time) OVER (PARTITION BY bidder ORDER BY date_time)
        < interval '10 seconds' THEN 0 ELSE 1 END AS opens
    FROM bid
  ) marked
) numbered
GROUP BY bidder, session
