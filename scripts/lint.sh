#!/usr/bin/env bash
# The checks that need no test run: formatting, lints, and one copy each of the crates whose types
# cross crate borders.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== formatting"
cargo fmt --all --check

echo "== lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

echo "== duplicate versions"
shared='^(arrow|arrow-array|arrow-schema|parquet|datafusion|object_store|sqlparser) v'
tree=$(cargo tree --workspace --locked --duplicates --depth 0)
duplicates=$(grep -E "$shared" <<<"$tree" | sort -u || true)
if [ -n "$duplicates" ]; then
  echo "these crates are in the tree more than once; move them together in [workspace.dependencies]:" >&2
  echo "$duplicates" >&2
  exit 1
fi
echo "none"
