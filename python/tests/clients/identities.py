"""The conformance suite's identity models, and a value of each datatype to send through them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "conformance" / "testdata"

# One tensor of each datatype, with the ends of its range.
VALUES = {
    "BOOL": np.array([[True, False, False, True]]),
    "UINT8": np.array([[0, 1, 128, 255]], np.uint8),
    "UINT16": np.array([[0, 1, 256, 65535]], np.uint16),
    "UINT32": np.array([[0, 1, 65536, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 1, 2**53 + 1, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, -1, 0, 127]], np.int8),
    "INT16": np.array([[-(2**15), -1, 0, 2**15 - 1]], np.int16),
    "INT32": np.array([[-(2**31), -1, 0, 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), -(2**53) - 1, 0, 2**63 - 1]], np.int64),
    "FP16": np.array([[1, -2.5, 65504, 6.1e-5]], np.float16),
    "BF16": np.array([[1, -2.5, 0.0078125, 3.0e38]], ml_dtypes.bfloat16),
    "FP32": np.array([[0.1, -3.4028235e38, 1e-45, 16777217]], np.float32),
    "FP64": np.array([[0.1, -1.7976931348623157e308, 5e-324, 2.0**53 + 1]], np.float64),
    "BYTES": np.array([[b"", "é東😀".encode(), b'quo"te\\', b"1.5"]], object),
}


@dataclass(frozen=True)
class Server:
    http: str  # host:port, as tritonclient wants it
    grpc: str


def uploaded(name: str, file: str) -> dict[str, object]:
    content = base64.b64encode((MODELS / file).read_bytes()).decode()
    return {"parameters": {"config": f'{{"name":"{name}","backend":"onnxruntime"}}', "file:1/model.onnx": content}}


def same(got: np.ndarray, want: np.ndarray) -> None:
    """Equal to the bit, shapes and types included."""
    assert got is not None
    assert got.shape == want.shape
    if want.dtype == object:
        assert [x if isinstance(x, bytes) else x.encode() for x in got.ravel()] == list(want.ravel())
        return
    assert got.dtype == want.dtype
    assert got.tobytes() == want.tobytes(), f"{got} instead of {want}"
