# make demo    builds, serves, loads, shows live results and proves them; exits 0 when all is equal
# make test    every test of the workspace
# make lint    formatting, clippy and the gate against duplicate versions
# make bench   the benchmarks of bench/README.md, on a release build
#
# CARGO_TARGET_DIR is honoured. What the targets need beside Rust is installed where it is missing.

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
export CARGO_TARGET_DIR := $(TARGET_DIR)

.PHONY: all build demo test lint fmt bench doc clean
all: build

build:
	scripts/install.sh cc
	$(CARGO) build --locked --workspace --bins

demo: build
	scripts/install.sh psql venv
	examples/flights/demo.sh $(TARGET_DIR)/debug/levada

# The binary first: tests that drive a whole process start it.
test: build
	scripts/install.sh psql venv java jdbc
	$(CARGO) test --workspace --locked

lint:
	scripts/lint.sh

fmt:
	$(CARGO) fmt --all

bench:
	scripts/install.sh cc venv
	$(CARGO) build --release --locked -p levada-server
	bench/run.py $(TARGET_DIR)/release/levada

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

clean:
	$(CARGO) clean
