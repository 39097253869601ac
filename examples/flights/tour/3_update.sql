-- Every dependent view follows in the same epoch.
UPDATE airlines SET name = 'Endeavor Air' WHERE carrier = '9E';
SELECT * FROM delays.by_carrier WHERE airline LIKE 'Endeavor%';
