"""tritonclient's asyncio clients, HTTP and gRPC."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http.aio as http_aio
from identities import VALUES, Server, same
from tritonclient.utils import InferenceServerException

FACES = {"http": http_aio, "grpc": grpc_aio}


def tensor(face: str, datatype: str, value: np.ndarray):
    t = FACES[face].InferInput("x", list(value.shape), datatype)
    t.set_data_from_numpy(value)
    return t


def with_client(server: Server, face: str, use) -> None:
    async def run() -> None:
        async with FACES[face].InferenceServerClient(getattr(server, face)) as client:
            await use(client)

    asyncio.run(run())


@pytest.mark.parametrize("face", FACES)
def test_every_datatype_at_once(server: Server, face: str) -> None:
    async def use(client) -> None:
        results = await asyncio.gather(
            *(client.infer(f"identity_{d.lower()}", [tensor(face, d, v)]) for d, v in VALUES.items())
        )
        for result, want in zip(results, VALUES.values(), strict=True):
            same(result.as_numpy("y"), want)

    with_client(server, face, use)


@pytest.mark.parametrize("face", FACES)
def test_fifty_at_once(server: Server, face: str) -> None:
    async def use(client) -> None:
        sent = [np.full((1 + i % 4, 4), i, np.int32) for i in range(50)]
        results = await asyncio.gather(*(client.infer("identity_int32", [tensor(face, "INT32", v)]) for v in sent))
        for result, want in zip(results, sent, strict=True):
            same(result.as_numpy("y"), want)

    with_client(server, face, use)


@pytest.mark.parametrize("face", FACES)
def test_errors_health_and_metadata(server: Server, face: str) -> None:
    async def use(client) -> None:
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("pair") and not await client.is_model_ready("nobody")
        with pytest.raises(InferenceServerException, match="nobody"):
            await client.infer("nobody", [tensor(face, "FP32", VALUES["FP32"])])
        with pytest.raises(InferenceServerException, match=r"\[1,3\]"):
            await client.infer("identity_fp32", [tensor(face, "FP32", np.zeros((1, 3), np.float32))])

    with_client(server, face, use)


# tritonclient leaves the answer of a cancelled HTTP call unread.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("face", FACES)
def test_cancelled_tasks_leave_the_server_well(server: Server, face: str) -> None:
    big = np.zeros((500_000, 4), np.float32)

    async def use(client) -> None:
        tasks = [asyncio.create_task(client.infer("identity_fp32", [tensor(face, "FP32", big)])) for _ in range(4)]
        await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(
            isinstance(e, (asyncio.CancelledError, InferenceServerException)) or e.as_numpy("y") is not None
            for e in ends
        )
        same(
            (await client.infer("identity_fp32", [tensor(face, "FP32", VALUES["FP32"])])).as_numpy("y"), VALUES["FP32"]
        )

    with_client(server, face, use)


def test_grpc_stream(server: Server) -> None:
    async def use(client) -> None:
        async def questions():
            for i in range(5):
                yield {
                    "model_name": "identity_fp32",
                    "inputs": [tensor("grpc", "FP32", np.full((1, 4), i, np.float32))],
                    "request_id": f"s{i}",
                }

        i = 0
        async for result, error in client.stream_infer(questions()):
            assert error is None
            assert result.get_response().id == f"s{i}"
            same(result.as_numpy("y"), np.full((1, 4), i, np.float32))
            i += 1
        assert i == 5

    with_client(server, "grpc", use)
