-- Mean closing price of each seller's last ten auctions.
SELECT seller,
  avg(price) OVER (
    PARTITION BY seller ORDER BY sold_at, id ROWS BETWEEN 9 PRECEDING AND CURRENT ROW
  ) AS price
FROM (
  SELECT a.seller, a.id, b.price, b.date_time AS sold_at,
    row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time) AS place
  FROM auction a JOIN bid b ON b.auction = a.id
  WHERE b.date_time >= a.date_time AND b.date_time <= a.expires
) won
WHERE place = 1
