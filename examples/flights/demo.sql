-- The tour of the README as one psql script. Run it from the root of the repository, against a
-- server started there:
--     psql -h 127.0.0.1 -p 5382 -U admin main -f examples/flights/demo.sql
\set ON_ERROR_STOP on
\ir tour/1_load.sql
\ir tour/2_look.sql
\ir tour/3_update.sql
\ir tour/4_explain.sql
