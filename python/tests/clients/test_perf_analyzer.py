"""Triton's load generator runs against the server as it is. perf_analyzer.sh fetches it."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import pytest
from identities import ROOT, Server

FOLDER = ROOT / ".cache" / "perf_analyzer"
PROGRAM = FOLDER / "perf_analyzer"


def analyze(*args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "LD_LIBRARY_PATH": str(FOLDER / "lib")}
    return subprocess.run([str(PROGRAM), *args], capture_output=True, text=True, timeout=300, env=env)


@pytest.fixture(scope="module", autouse=True)
def starts() -> None:
    if not PROGRAM.exists():
        pytest.skip(f"no perf_analyzer at {PROGRAM}: run python/tests/clients/perf_analyzer.sh")
    done = analyze("--version")
    if done.returncode != 0 and "error while loading shared libraries" in done.stderr + done.stdout:
        pytest.skip(f"perf_analyzer does not start on this system: {done.stderr.strip()}")
    assert "Perf Analyzer Version" in done.stdout + done.stderr


@pytest.mark.parametrize(("face", "more"), [("http", []), ("grpc", []), ("grpc", ["--streaming"])])
def test_closed_loop(server: Server, tmp_path: Path, face: str, more: list[str]) -> None:
    table = tmp_path / "latency.csv"
    done = analyze(
        "-m", "identity_fp32", "-u", getattr(server, face), "-i", face, "--shape", "x:8,4", "--concurrency-range", "1:4:3",
        "--measurement-mode", "count_windows", "--measurement-request-count", "200", "-s", "400", "-r", "3", "-f", str(table), *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with table.open() as f:
        rows = list(csv.DictReader(f))
    assert sorted(int(r["Concurrency"]) for r in rows) == [1, 4]
    for row in rows:
        assert float(row["Inferences/Second"]) > 0
        # The server's own times come from its statistics extension.
        assert float(row["Server Compute Infer"]) > 0
