-- Bids of each person in every ten seconds.
SELECT bidder, count(*) AS bid_count, date_bin(interval '10 seconds', date_time) AS w
FROM bid
GROUP BY bidder, date_bin(interval '10 seconds', date_time)
