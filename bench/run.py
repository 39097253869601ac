#!/usr/bin/env python3
"""Runs the benchmarks against a levada binary, over the wire.

    bench/run.py PATH-TO-LEVADA [MEASURE ...] [--small] [--dir DIR] [--out FILE] [--check]

Each measure starts servers of its own in an empty folder under DIR (default: beside the binary, so
that the disk is the one the build lies on). Results are printed as a table and written as JSON with the
machine and the command. The Python packages that are needed go into a virtual environment beside the
binary.
"""

import argparse
import datetime
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

PACKAGES = {"psycopg": "psycopg[binary]>=3.1,<4", "pyarrow": "pyarrow>=17,<26", "numpy": "numpy>=1.26,<3"}
HERE = pathlib.Path(__file__).resolve().parent


def enter_environment(binary: pathlib.Path) -> None:
    """Continues under an interpreter that has the packages, made beside the binary when absent."""
    if all(importlib.util.find_spec(name) for name in PACKAGES):
        return
    home = binary.parent / "bench-venv"
    python = home / "bin" / "python"
    if os.environ.get("BENCH_VENV") == str(home):
        sys.exit(f"{home} lacks one of {', '.join(PACKAGES)}")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES.values()], check=True)
    os.environ["BENCH_VENV"] = str(home)
    os.execv(str(python), [str(python), str(HERE / "run.py"), *sys.argv[1:]])


def first_line(path: str, start: str) -> str:
    """The value of the first line of a /proc file that starts with a word."""
    try:
        for line in pathlib.Path(path).read_text().splitlines():
            if line.startswith(start):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def output(*command: str) -> str:
    """What a command prints, or "unknown"."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(folder: pathlib.Path) -> dict:
    """What the numbers depend on."""
    return {
        "cpu": first_line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": first_line("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "file_system": output("stat", "-f", "-c", "%T", str(folder)),
    }


def main() -> None:
    """Runs the measures that are asked for, all by default."""
    parser = argparse.ArgumentParser(description="benchmarks over the wire")
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("measures", nargs="*", metavar="measure")
    parser.add_argument("--small", action="store_true", help="a hundredth of the rows: a trial run")
    parser.add_argument("--dir", type=pathlib.Path, help="where data directories are made")
    parser.add_argument("--out", type=pathlib.Path, help="the JSON file (default: standard output)")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    if not os.access(binary, os.X_OK):
        sys.exit(f"{arguments.binary} is no program; build it with: cargo build --release -p levada-server")
    enter_environment(binary)

    import measures  # needs the packages

    unknown = sorted(set(arguments.measures) - set(measures.ALL))
    if unknown:
        sys.exit(f"unknown measure {unknown[0]}; there are {', '.join(measures.ALL)}")
    parent = (arguments.dir or binary.parent).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="levada-bench.", dir=parent))
    results = []
    try:
        for name in arguments.measures or measures.ALL:
            run = measures.Run(binary, folder / name, 0.01 if arguments.small else 1.0)
            for result in measures.ALL[name](run):
                print(result.line(), flush=True)
                results.append(result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report = {
        "command": " ".join(["bench/run.py", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "version": output(str(binary), "--version"),
        "commit": output("git", "-C", str(HERE), "rev-parse", "--short", "HEAD"),
        "machine": machine(parent),
        "results": [result.data() for result in results],
    }
    text = json.dumps(report, indent=2) + "\n"
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)
    else:
        print(text, end="")
    missed = [result.name for result in results if result.met() is False]
    if arguments.check and missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
