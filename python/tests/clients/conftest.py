"""The real server with the conformance suite's identity models, for clients that other people wrote."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from identities import ROOT, VALUES, Server, uploaded

BIN = Path(os.environ.get("FAIRLEAD_BIN") or ROOT / "bin" / "fairlead")


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # With FAIRLEAD_BIN set a missing binary is a failure, not a reason to skip.
    if "FAIRLEAD_BIN" not in os.environ and not BIN.exists():
        pytest.skip(f"no server at {BIN}: run `make build`, or set FAIRLEAD_BIN")
    folder = tmp_path_factory.mktemp("fairlead")
    http, grpc = (f"127.0.0.1:{port}" for port in free_ports(2))
    with (folder / "log.txt").open("w") as log:
        args = [str(BIN.resolve()), "serve", "--data", str(folder / "data"), "--http", http, "--grpc", grpc]
        process = subprocess.Popen(args, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        with httpx.Client(base_url=f"http://{http}", trust_env=False, timeout=60) as web:
            wait_until_ready(web, process, folder / "log.txt")
            for datatype in VALUES:
                name = f"identity_{datatype.lower()}"
                answer = web.post(f"/v2/repository/models/{name}/load", json=uploaded(name, f"{name}.onnx"))
                assert answer.status_code == 200, f"load {name}: {answer.status_code} {answer.text}"
            answer = web.post("/v2/repository/models/pair/load", json=uploaded("pair", "pair.onnx"))
            assert answer.status_code == 200, answer.text
        yield Server(http, grpc)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, f"a clean stop exits with 0:\n{(folder / 'log.txt').read_text()[-4000:]}"
    finally:
        process.kill()
        process.wait()


def wait_until_ready(web: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, f"the server stopped with {process.returncode}:\n{log.read_text()[-4000:]}"
        try:
            if web.get("/v2/health/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < end, f"the server is not ready after 60 s:\n{log.read_text()[-4000:]}"
        time.sleep(0.1)
