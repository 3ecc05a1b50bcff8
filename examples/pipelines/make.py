"""Makes the two models of the pipeline "reviews": weights of words, by the hash of hash.rs.

    pip install onnx
    python make.py
"""

import os
import struct

import onnx
from onnx import TensorProto, helper

COLUMNS = 256
SHORT = {"good": 2.0, "great": 3.0, "love": 2.5, "bad": -2.0, "awful": -3.0, "hate": -2.5}
LONG = {**SHORT, "not": -1.5, "never": -1.0, "broken": -2.0, "refund": -2.0, "recommend": 2.0, "perfect": 3.0, "slow": -1.0, "again": 0.5}


def column(word: str) -> int:
    h = 2166136261
    for b in word.lower().encode():
        h = (h ^ b) * 16777619 & 0xFFFFFFFF
    return h % COLUMNS


def model(name: str, words: dict[str, float], bias: float) -> None:
    weights = [0.0] * COLUMNS
    for word, weight in words.items():
        weights[column(word)] += weight
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["counts", "weights", "bias"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["score"]),
        ],
        name,
        [helper.make_tensor_value_info("counts", TensorProto.FLOAT, ["rows", COLUMNS])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [COLUMNS, 1], struct.pack(f"<{COLUMNS}f", *weights), raw=True),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias]),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="fairlead")
    onnx.checker.check_model(made)
    onnx.save(made, os.path.join(os.path.dirname(__file__), "models", name + ".onnx"))


model("reviews-short", SHORT, 0.0)
model("reviews-long", LONG, 0.1)
