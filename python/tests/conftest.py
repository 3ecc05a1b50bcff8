"""A server made of answers, for everything that needs no model to run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import fairlead

FLIGHTS = {
    "model": "flights",
    "version": 3,
    "digest": "sha256:" + "ab" * 32,
    "created": "2026-01-02T03:04:05Z",
    "size_bytes": 1234,
    "task": "binary",
    "inputs": [
        {"name": "features", "datatype": "FP32", "shape": [-1, 2], "features": ["distance", "holiday"]},
        {"name": "origin", "datatype": "BYTES", "shape": [-1, 1]},
    ],
    "outputs": [
        {"name": "probability", "datatype": "FP32", "shape": [-1, 2], "role": "score", "classes": ["ok", "late"]}
    ],
}


class FakeServer:
    """Answers the paths it was told about and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.routes: dict[tuple[str, str], Callable[[httpx.Request], httpx.Response]] = {}
        self.answer("GET", "/api/v1/models", [{"name": "flights", "aliases": {"champion": 3}, "versions": [FLIGHTS]}])
        self.answer(
            "GET", "/api/v1/deployments", [{"name": "flights", "model": "flights", "version": 3, "task": "binary"}]
        )

    def on(self, method: str, path: str, handler: Callable[[httpx.Request], httpx.Response]) -> None:
        self.routes[method, path] = handler

    def answer(self, method: str, path: str, body: Any, status: int = 200, **headers: str) -> None:
        self.on(method, path, lambda _: httpx.Response(status, json=body, headers=headers))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        handler = self.routes.get((request.method, request.url.path))
        if handler is None:
            return httpx.Response(404, json={"error": f"no route {request.url.path}", "code": "not_found"})
        return handler(request)

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(r.content) for r in self.requests if r.url.path == path]


@pytest.fixture
def fake() -> FakeServer:
    return FakeServer()


@pytest.fixture
def client(fake: FakeServer):
    with fairlead.Client("http://fake:8080", transport=httpx.MockTransport(fake)) as c:
        c._http._sleep = lambda _: None
        yield c


@pytest.fixture
def flights(fake: FakeServer) -> FakeServer:
    """The fake server, answering predictions of deployment flights: probability of late = distance / 1000."""

    def infer(request: httpx.Request) -> httpx.Response:
        rows = json.loads(request.content)["instances"]
        shares = [(row.get("distance") or 0) / 1000 for row in rows]
        start = sum(len(b["instances"]) for b in fake.bodies("/v2/models/flights/infer")) - len(rows)
        return httpx.Response(
            200,
            json={
                "id": "R",
                "model_name": "flights",
                "model_version": "3",
                "ids": [f"R.{start + i}" for i in range(len(rows))],
                "predictions": [[1 - s, s] for s in shares],
            },
        )

    fake.on("POST", "/v2/models/flights/infer", infer)
    return fake
