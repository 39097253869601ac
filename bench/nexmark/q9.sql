-- The winning bid of each auction.
SELECT *
FROM (
  SELECT a.id, item_name, description, initial_bid, reserve, a.date_time AS adt, expires, seller,
    category, a.extra AS aextra, b.auction, bidder, price, b.date_time AS bdt, b.extra AS bextra,
    row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time) AS place
  FROM auction a JOIN bid b ON b.auction = a.id
  WHERE b.date_time >= a.date_time AND b.date_time <= a.expires
) won
WHERE place = 1
