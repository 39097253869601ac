-- Persons who put up an auction in the ten seconds in which they came.
SELECT p.id, p.name, p.w
FROM (
  SELECT id, name, date_bin(interval '10 seconds', date_time) AS w FROM person
  GROUP BY id, name, date_bin(interval '10 seconds', date_time)
) p JOIN (
  SELECT seller, date_bin(interval '10 seconds', date_time) AS w FROM auction
  GROUP BY seller, date_bin(interval '10 seconds', date_time)
) a ON a.seller = p.id AND a.w = p.w
