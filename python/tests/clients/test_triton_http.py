"""tritonclient over HTTP, blocking: what works against Triton works here."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from identities import MODELS, VALUES, Server, same
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.http, concurrency=4) as c:
        yield c


def tensor(name: str, datatype: str, value: np.ndarray, binary: bool = True) -> triton.InferInput:
    t = triton.InferInput(name, list(value.shape), datatype)
    t.set_data_from_numpy(value, binary_data=binary)
    return t


def fp32(rows: int = 1) -> np.ndarray:
    return np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) / 8


@pytest.mark.parametrize("answer_binary", [True, False], ids=["binary out", "JSON out"])
@pytest.mark.parametrize("send_binary", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype(
    client: triton.InferenceServerClient, datatype: str, send_binary: bool, answer_binary: bool
) -> None:
    if datatype in ("FP16", "BF16") and not (send_binary and answer_binary):
        pytest.skip("tritonclient sends and reads 16-bit floats as binary only")
    want = VALUES[datatype]
    result = client.infer(
        f"identity_{datatype.lower()}",
        [tensor("x", datatype, want, send_binary)],
        outputs=[triton.InferRequestedOutput("y", binary_data=answer_binary)],
    )
    same(result.as_numpy("y"), want)


def test_binary_is_the_default(client: triton.InferenceServerClient) -> None:
    result = client.infer("identity_fp32", [tensor("x", "FP32", fp32())])
    same(result.as_numpy("y"), fp32())
    assert result.get_output("y")["parameters"] == {"binary_data_size": 16}


def test_ids_outputs_and_order(client: triton.InferenceServerClient) -> None:
    a, b = np.array([[1, -2]], np.float32), np.array([[7, -1]], np.int32)
    inputs = [tensor("b", "INT32", b, binary=False), tensor("a", "FP32", a)]
    result = client.infer("pair", inputs, request_id="an-id", outputs=[triton.InferRequestedOutput("b_out")])
    assert result.get_response()["id"] == "an-id"
    assert [o["name"] for o in result.get_response()["outputs"]] == ["b_out"]
    same(result.as_numpy("b_out"), -b)
    assert result.as_numpy("a_out") is None
    everything = client.infer("pair", inputs)
    same(everything.as_numpy("a_out"), a)
    same(everything.as_numpy("b_out"), -b)


def test_classification(client: triton.InferenceServerClient) -> None:
    scores = np.array([[0.5, 4.25, -1, 2], [9, 0, 1, 2]], np.float32)
    result = client.infer(
        "identity_fp32", [tensor("x", "FP32", scores)], outputs=[triton.InferRequestedOutput("y", class_count=2)]
    )
    got = [[x.decode() for x in row] for row in result.as_numpy("y")]
    assert got == [["4.250000:1", "2.000000:3"], ["9.000000:0", "2.000000:3"]]


@pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_coding", [None, "gzip", "deflate"])
def test_compression(
    client: triton.InferenceServerClient, request_coding: str | None, response_coding: str | None
) -> None:
    result = client.infer(
        "identity_fp32",
        [tensor("x", "FP32", fp32(500))],
        request_compression_algorithm=request_coding,
        response_compression_algorithm=response_coding,
    )
    same(result.as_numpy("y"), fp32(500))


def test_large_and_empty(client: triton.InferenceServerClient) -> None:
    for rows in (100_000, 0):
        same(client.infer("identity_fp32", [tensor("x", "FP32", fp32(rows))]).as_numpy("y"), fp32(rows))


def test_async_infer_gives_each_its_own(client: triton.InferenceServerClient) -> None:
    sent = [np.full((1 + i % 3, 4), i, np.int32) for i in range(40)]
    pending = [
        client.async_infer("identity_int32", [tensor("x", "INT32", v)], request_id=f"r{i}") for i, v in enumerate(sent)
    ]
    for i, (p, v) in enumerate(zip(pending, sent, strict=True)):
        result = p.get_result()
        assert result.get_response()["id"] == f"r{i}"
        same(result.as_numpy("y"), v)


def test_priority_timeout_and_parameters(client: triton.InferenceServerClient) -> None:
    result = client.infer(
        "identity_fp32",
        [tensor("x", "FP32", fp32())],
        priority=1,
        timeout=5_000_000,
        parameters={"note": "hello", "n": 3, "b": True},
    )
    same(result.as_numpy("y"), fp32())


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("identity_fp32") and not client.is_model_ready("nobody")
    about = client.get_server_metadata()
    assert about["name"] == "fairlead"
    assert {
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "model_repository",
        "schedule_policy",
        "statistics",
    } <= set(about["extensions"])
    model = client.get_model_metadata("pair")
    assert model["inputs"] == [
        {"name": "a", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "b", "datatype": "INT32", "shape": [-1, 2]},
    ]
    version = model["versions"][0]
    assert client.is_model_ready("pair", version)
    assert client.get_model_metadata("pair", version)["name"] == "pair"


def test_config_and_statistics(client: triton.InferenceServerClient) -> None:
    config = client.get_model_config("identity_fp32")
    assert config["name"] == "identity_fp32"
    assert (config["input"][0]["name"], config["input"][0]["data_type"]) == ("x", "TYPE_FP32")

    def counts() -> tuple[int, int, int]:
        stats = client.get_inference_statistics("identity_fp32")["model_stats"]
        assert [s["name"] for s in stats] == ["identity_fp32"] * len(stats)
        return (
            sum(s["inference_count"] for s in stats),
            sum(s["inference_stats"]["success"]["count"] for s in stats),
            sum(s["inference_stats"]["fail"]["count"] for s in stats),
        )

    before = counts()
    client.infer("identity_fp32", [tensor("x", "FP32", fp32(5))])
    with pytest.raises(InferenceServerException):
        client.infer("identity_fp32", [tensor("x", "FP32", np.zeros((1, 3), np.float32))])
    after = counts()
    assert [a - b for a, b in zip(after, before, strict=True)] == [5, 1, 1]
    assert {s["name"] for s in client.get_inference_statistics()["model_stats"]} >= {"pair", "identity_fp32"}


def test_repository(client: triton.InferenceServerClient) -> None:
    model = base64.b64encode((MODELS / "identity_int8.onnx").read_bytes()).decode()
    client.load_model(
        "uploaded", config=json.dumps({"backend": "onnxruntime"}), files={"file:1/model.onnx": base64.b64decode(model)}
    )
    assert client.is_model_ready("uploaded")
    value = VALUES["INT8"]
    same(client.infer("uploaded", [tensor("x", "INT8", value)]).as_numpy("y"), value)
    states = {m["name"]: m["state"] for m in client.get_model_repository_index()}
    assert states["uploaded"] == "READY"
    client.unload_model("uploaded")
    assert not client.is_model_ready("uploaded")
    states = {m["name"]: m.get("state") for m in client.get_model_repository_index()}
    assert states.get("uploaded") != "READY"
    with pytest.raises(InferenceServerException):
        client.infer("uploaded", [tensor("x", "INT8", value)])
    client.load_model("uploaded")
    same(client.infer("uploaded", [tensor("x", "INT8", value)]).as_numpy("y"), value)
    client.unload_model("uploaded", unload_dependents=True)


@pytest.mark.parametrize(
    ("model", "value", "datatype", "says", "status"),
    [
        ("nobody", fp32(), "FP32", "nobody", "404"),
        ("identity_fp32", np.zeros((1, 3), np.float32), "FP32", r"\[1,3\]", "400"),
        ("identity_fp32", np.zeros((1, 4), np.int32), "INT32", "FP32", "400"),
        ("pair", np.zeros((1, 2), np.float32), "FP32", "x", "400"),
    ],
)
def test_errors(
    client: triton.InferenceServerClient, model: str, value: np.ndarray, datatype: str, says: str, status: str
) -> None:
    with pytest.raises(InferenceServerException, match=says) as caught:
        client.infer(model, [tensor("x", datatype, value)])
    assert caught.value.status() == status


def test_errors_of_the_control_calls(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="nobody") as caught:
        client.get_model_metadata("nobody")
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="nobody"):
        client.load_model("nobody")
    with pytest.raises(InferenceServerException):
        client.load_model("broken", config="{}", files={"file:1/model.onnx": b"no model"})
    assert not client.is_model_ready("broken")
    with pytest.raises(InferenceServerException) as caught:
        client.register_system_shared_memory("region", "/key", 64)
    assert caught.value.status() in ("400", "501")
