"""tritonclient over gRPC, blocking and streaming."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as triton
from identities import MODELS, VALUES, Server, same
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc) as c:
        yield c


def tensor(name: str, datatype: str, value: np.ndarray) -> triton.InferInput:
    t = triton.InferInput(name, list(value.shape), datatype)
    t.set_data_from_numpy(value)
    return t


def fp32(rows: int = 1) -> np.ndarray:
    return np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) / 8


@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype(client: triton.InferenceServerClient, datatype: str) -> None:
    want = VALUES[datatype]
    result = client.infer(f"identity_{datatype.lower()}", [tensor("x", datatype, want)], request_id="g")
    assert result.get_response().id == "g"
    same(result.as_numpy("y"), want)


def test_outputs_and_classification(client: triton.InferenceServerClient) -> None:
    a, b = np.array([[1, -2]], np.float32), np.array([[7, -1]], np.int32)
    result = client.infer(
        "pair", [tensor("b", "INT32", b), tensor("a", "FP32", a)], outputs=[triton.InferRequestedOutput("b_out")]
    )
    assert [o.name for o in result.get_response().outputs] == ["b_out"]
    same(result.as_numpy("b_out"), -b)
    scores = np.array([[0.5, 4.25, -1, 2]], np.float32)
    result = client.infer(
        "identity_fp32", [tensor("x", "FP32", scores)], outputs=[triton.InferRequestedOutput("y", class_count=3)]
    )
    assert [x.decode() for x in result.as_numpy("y")[0]] == ["4.250000:1", "2.000000:3", "0.500000:0"]


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_large_and_compressed(client: triton.InferenceServerClient, coding: str | None) -> None:
    big = fp32(500_000)
    same(client.infer("identity_fp32", [tensor("x", "FP32", big)], compression_algorithm=coding).as_numpy("y"), big)


def test_priority_timeout_and_parameters(client: triton.InferenceServerClient) -> None:
    result = client.infer(
        "identity_fp32",
        [tensor("x", "FP32", fp32())],
        priority=1,
        timeout=5_000_000,
        parameters={"note": "hello", "n": 3, "b": True},
    )
    same(result.as_numpy("y"), fp32())


def test_async_infer_gives_each_its_own(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[tuple[object, object]] = queue.Queue()
    sent = {f"r{i}": np.full((1 + i % 3, 4), i, np.int32) for i in range(40)}
    for key, value in sent.items():
        client.async_infer(
            "identity_int32",
            [tensor("x", "INT32", value)],
            lambda result, error: answers.put((result, error)),
            request_id=key,
        )
    for _ in range(len(sent)):
        result, error = answers.get(timeout=30)
        assert error is None
        same(result.as_numpy("y"), sent.pop(result.get_response().id))
    assert not sent


def test_stream(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[tuple[object, object]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    values = [np.full((1, 4), i, np.float32) for i in range(10)]
    for i, value in enumerate(values):
        client.async_stream_infer("identity_fp32", [tensor("x", "FP32", value)], request_id=f"s{i}")
    for i, value in enumerate(values):
        result, error = answers.get(timeout=30)
        assert error is None
        assert result.get_response().id == f"s{i}"
        same(result.as_numpy("y"), value)
    # An error is an answer: the stream goes on.
    client.async_stream_infer("nobody", [tensor("x", "FP32", fp32())])
    result, error = answers.get(timeout=30)
    assert result is None and "nobody" in str(error)
    client.async_stream_infer("identity_fp32", [tensor("x", "FP32", fp32())], request_id="after")
    result, error = answers.get(timeout=30)
    assert error is None and result.get_response().id == "after"
    client.stop_stream()


def test_stream_with_empty_final_response(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[tuple[object, object]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer("identity_fp32", [tensor("x", "FP32", fp32())], enable_empty_final_response=True)
    final = False
    while not final:
        result, error = answers.get(timeout=30)
        assert error is None
        final = result.get_response().parameters["triton_final_response"].bool_param
    client.stop_stream()


def test_cancelled_call(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[object] = queue.Queue()
    big = fp32(1_000_000)
    call = client.async_infer("identity_fp32", [tensor("x", "FP32", big)], lambda result, error: answers.put(error))
    call.cancel()
    error = answers.get(timeout=30)
    assert error is None or "cancel" in str(error).lower()
    same(client.infer("identity_fp32", [tensor("x", "FP32", fp32())]).as_numpy("y"), fp32())


def test_deadline(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="Deadline") as caught:
        client.infer("identity_fp32", [tensor("x", "FP32", fp32(1_000_000))], client_timeout=0.001)
    assert "DEADLINE_EXCEEDED" in caught.value.status()


def test_health_metadata_config(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("identity_fp32") and not client.is_model_ready("nobody")
    assert client.get_server_metadata().name == "fairlead"
    model = client.get_model_metadata("pair", as_json=True)
    assert [i["name"] for i in model["inputs"]] == ["a", "b"]
    config = client.get_model_config("identity_fp32").config
    assert (config.name, config.input[0].name) == ("identity_fp32", "x")
    assert config.input[0].data_type == triton.model_config_pb2.TYPE_FP32


def test_statistics(client: triton.InferenceServerClient) -> None:
    def rows() -> int:
        return sum(s.inference_count for s in client.get_inference_statistics("identity_int16").model_stats)

    before = rows()
    client.infer("identity_int16", [tensor("x", "INT16", VALUES["INT16"])])
    assert rows() == before + 1
    names = {s.name for s in client.get_inference_statistics().model_stats}
    assert {"pair", "identity_fp32"} <= names


def test_repository(client: triton.InferenceServerClient) -> None:
    model = (MODELS / "identity_int8.onnx").read_bytes()
    client.load_model(
        "uploaded_grpc", config=json.dumps({"backend": "onnxruntime"}), files={"file:1/model.onnx": model}
    )
    value = VALUES["INT8"]
    same(client.infer("uploaded_grpc", [tensor("x", "INT8", value)]).as_numpy("y"), value)
    assert {m.name: m.state for m in client.get_model_repository_index().models}["uploaded_grpc"] == "READY"
    client.unload_model("uploaded_grpc")
    assert not client.is_model_ready("uploaded_grpc")
    with pytest.raises(InferenceServerException):
        client.infer("uploaded_grpc", [tensor("x", "INT8", value)])


@pytest.mark.parametrize(
    ("model", "value", "datatype", "says", "status"),
    [
        ("nobody", fp32(), "FP32", "nobody", "NOT_FOUND"),
        ("identity_fp32", np.zeros((1, 3), np.float32), "FP32", r"\[1,3\]", "INVALID_ARGUMENT"),
        ("identity_fp32", np.zeros((1, 4), np.int32), "INT32", "FP32", "INVALID_ARGUMENT"),
        ("pair", np.zeros((1, 2), np.float32), "FP32", "x", "INVALID_ARGUMENT"),
    ],
)
def test_errors(
    client: triton.InferenceServerClient, model: str, value: np.ndarray, datatype: str, says: str, status: str
) -> None:
    with pytest.raises(InferenceServerException, match=says) as caught:
        client.infer(model, [tensor("x", datatype, value)])
    assert caught.value.status() == f"StatusCode.{status}"
