-- The highest bids of every ten seconds.
SELECT b.auction, b.price, b.bidder, b.date_time, b.extra
FROM bid b JOIN (
  SELECT date_bin(interval '10 seconds', date_time) AS w, max(price) AS top
  FROM bid GROUP BY date_bin(interval '10 seconds', date_time)
) m ON m.top = b.price AND m.w = date_bin(interval '10 seconds', b.date_time)
