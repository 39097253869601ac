-- Bids with the day and the minute that they would be filed under.
SELECT auction, bidder, price, date_time, extra,
  to_char(date_time, '%Y-%m-%d') AS dt, to_char(date_time, '%H:%M') AS hm
FROM bid
