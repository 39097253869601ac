SELECT * FROM delays.by_carrier ORDER BY mean_delay DESC;
SELECT * FROM delays.by_day ORDER BY month DESC, day DESC LIMIT 5;

SHOW PIPELINES;
SHOW SOURCES;
\d delays.by_carrier
