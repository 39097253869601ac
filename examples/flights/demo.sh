#!/usr/bin/env bash
# The tour of the README on a server of its own, with a proof of every answer.
#
#     examples/flights/demo.sh PATH-TO-LEVADA
#
# Works in a temporary folder that holds a copy of this example, so the repository stays clean and
# every statement runs as printed in the README. Exits 0 only if all answers compare equal.
# DEMO_VENV names a folder to keep the Python environment with DuckDB in (default: beside the binary).
set -euo pipefail
export LC_ALL=C.UTF-8

levada=$(realpath "${1:?usage: demo.sh PATH-TO-LEVADA}")
example=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${DEMO_VENV:-$(dirname "$levada")/demo-venv}
work=$(mktemp -d -t levada-demo.XXXXXX)
server=""

heading() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() { echo "demo: $*" >&2; exit 1; }

finish() {
  local status=$?
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
    kill -9 "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ "$status" -ne 0 ]; then
    echo "demo: FAILED with status $status; the server wrote:" >&2
    tail -n 40 "$work/serve.log" >&2 2>/dev/null || true
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT

# Starts the server in the work folder and waits until it accepts connections.
start() {
  rm -f "$work/ready.json"
  (cd "$work" && exec "$levada" serve --data levada-data --pg-port 0 --http-port 0 \
    --ready-file "$work/ready.json") >>"$work/serve.log" 2>&1 &
  server=$!
  local tries
  for tries in $(seq 1 600); do
    [ -s "$work/ready.json" ] && break
    kill -0 "$server" 2>/dev/null || die "the server ended while it started"
    [ "$tries" -lt 600 ] || die "the server was not ready after 30 seconds"
    sleep 0.05
  done
  port=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pg_port"])' "$work/ready.json")
  echo "levada serves $work/levada-data: psql -h 127.0.0.1 -p $port -U admin main"
}

# psql in the work folder, as a user would run it there.
client() {
  (cd "$work" && PAGER= psql -X -h 127.0.0.1 -p "$port" -U admin -d main \
    -v ON_ERROR_STOP=1 -P pager=off "$@")
}
tour() { client -e -f "examples/flights/tour/$1"; }
value() { client -At -c "$1"; }

# Writes the answers that must survive everything, one file per relation, sorted.
answers() {
  mkdir -p "$work/$1"
  client --csv -c 'SELECT * FROM delays.by_carrier ORDER BY airline' >"$work/$1/by_carrier.csv"
  client --csv -c 'SELECT * FROM delays.by_day ORDER BY month, day' >"$work/$1/by_day.csv"
  client --csv -c 'SELECT * FROM airlines ORDER BY carrier' >"$work/$1/airlines.csv"
  client --csv -c 'SELECT count(*) AS rows, sum(flight) AS flights, sum(distance) AS miles FROM flights' \
    >"$work/$1/flights.csv"
}

heading "1. Serve, from an empty folder"
mkdir -p "$work/examples"
cp -r "$example" "$work/examples/flights"
start

heading "2. A source, a table, a pipeline with two live views and a sink"
tour 1_load.sql

heading "3. Live results"
tour 2_look.sql

# Files of an older checkpoint must not be mistaken for the view's at the end.
value 'CHECKPOINT'

heading "4. One more daily file is dropped into the folder"
before=$(value 'SELECT sum(flights) FROM delays.by_day')
cp "$work/examples/flights/next/2013-02-01.csv" "$work/examples/flights/data/"
dropped=${EPOCHREALTIME/./}
while after=$(value 'SELECT sum(flights) FROM delays.by_day'); [ "$after" = "$before" ]; do
  [ $((${EPOCHREALTIME/./} - dropped)) -lt 30000000 ] || die "the new file was not seen in 30 seconds"
  sleep 0.05
done
echo "departures in delays.by_day: $before before, $after after $(((${EPOCHREALTIME/./} - dropped) / 1000)) ms"
client -e -c 'SELECT * FROM delays.by_day WHERE month = 2'

heading "5. A carrier is renamed; its row in every view follows in the same epoch"
tour 3_update.sql

heading "6. How it is kept right, where it comes from, and the proof"
tour 4_explain.sql
answers before
value 'CHECKPOINT'

heading "7. kill -9, and start again"
kill -9 "$server"
wait "$server" 2>/dev/null || true
start
answers after
diff -r "$work/before" "$work/after" || die "the answers changed across kill -9"
echo "the same answers: nothing lost, nothing read twice"
client --csv -c 'SELECT * FROM sys.lineage' >"$work/lineage.csv"
client --csv -c 'SELECT * FROM sys.column_lineage' >"$work/column_lineage.csv"

heading "8. Stop the server; DuckDB reads the files"
kill -TERM "$server"
wait "$server" || die "the server did not stop cleanly"
server=""
if [ ! -x "$venv/bin/python" ]; then python3 -m venv "$venv"; fi
"$venv/bin/python" -c 'import duckdb' 2>/dev/null || "$venv/bin/pip" install -q 'duckdb>=1.1,<2'
"$venv/bin/python" "$example/verify.py" "$work"

heading "Everything compared equal"
