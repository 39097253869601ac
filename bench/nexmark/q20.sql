-- Bids on auctions of one category, with the auction.
SELECT auction, bidder, price, channel, url, b.date_time AS bdt, b.extra AS bextra, item_name,
  description, initial_bid, reserve, a.date_time AS adt, expires, seller, category, a.extra AS aextra
FROM bid b JOIN auction a ON a.id = b.auction
WHERE a.category = 10
