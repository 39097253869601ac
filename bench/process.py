"""A levada server under measurement: start, stop, and what the kernel knows of it."""

import json
import os
import pathlib
import signal
import subprocess
import time

import psycopg

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
START_SECONDS_MAX = 60.0


class Server:
    """A server on free ports, with its working folder and its data directory in `folder`."""

    def __init__(self, binary: pathlib.Path, folder: pathlib.Path, cores: set[int] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        ready = folder / "ready.json"
        ready.unlink(missing_ok=True)
        self.log = (folder / "serve.log").open("ab")
        command = [str(binary), "serve", "--data", str(folder / "data"), "--pg-port", "0"]
        command += ["--http-port", "0", "--ready-file", str(ready)]
        pin = (lambda: os.sched_setaffinity(0, cores)) if cores else None
        begin = time.perf_counter()
        self.child = subprocess.Popen(
            command, cwd=folder, stdout=self.log, stderr=self.log, preexec_fn=pin
        )
        while True:
            # The file may be seen before its line is complete.
            text = ready.read_text().strip() if ready.exists() else ""
            if text.endswith("}"):
                break
            if self.child.poll() is not None:
                raise RuntimeError((folder / "serve.log").read_text()[-2000:])
            if time.perf_counter() - begin > START_SECONDS_MAX:
                self.kill()
                raise RuntimeError("the server was not ready in time")
            time.sleep(0.0005)
        self.port = json.loads(text)["pg_port"]
        with self.connect() as connection:
            connection.execute("SELECT 1")
        self.start_seconds = time.perf_counter() - begin

    def connect(self) -> psycopg.Connection:
        """A connection where each statement is its own transaction."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="admin", dbname="main", autocommit=True
        )

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = self._proc("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self) -> int:
        """Memory in use."""
        return int(self._proc("statm").split()[1]) * PAGE

    def resident_bytes_max(self) -> int:
        """The most memory ever in use."""
        for line in self._proc("status").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self) -> None:
        """Asks it to stop and waits for it."""
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        self.log.close()

    def kill(self) -> None:
        """Ends it at once."""
        self.child.kill()
        self.child.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.stop()

    def _proc(self, name: str) -> str:
        return pathlib.Path(f"/proc/{self.child.pid}/{name}").read_text()
