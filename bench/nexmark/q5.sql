-- The auctions with most bids in each window of ten seconds, one window every two.
WITH counted AS (
  SELECT b.auction, date_bin(interval '2 seconds', b.date_time) - h.back AS w, count(*) AS num
  FROM bid b CROSS JOIN (VALUES
    (interval '0 seconds'), (interval '2 seconds'), (interval '4 seconds'), (interval '6 seconds'),
    (interval '8 seconds')
  ) AS h(back)
  GROUP BY b.auction, date_bin(interval '2 seconds', b.date_time) - h.back
)
SELECT c.auction, c.num
FROM counted c JOIN (SELECT w, max(num) AS most FROM counted GROUP BY w) m
  ON m.w = c.w AND m.most = c.num
