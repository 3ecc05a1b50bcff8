"""Makes model.onnx, a small network in float32, and small.onnx, the same with its weights in int8.

Run with onnx, onnxruntime and numpy: python make.py
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

here = Path(__file__).parent
random = np.random.default_rng(7)
weights = {
    "w1": random.normal(0, 0.5, (4, 32)), "b1": random.normal(0, 0.1, 32),
    "w2": random.normal(0, 0.5, (32, 1)), "b2": random.normal(0, 0.1, 1),
}
graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["features", "w1"], ["h1"]),
        helper.make_node("Add", ["h1", "b1"], ["h2"]),
        helper.make_node("Relu", ["h2"], ["h3"]),
        helper.make_node("MatMul", ["h3", "w2"], ["h4"]),
        helper.make_node("Add", ["h4", "b2"], ["h5"]),
        helper.make_node("Sigmoid", ["h5"], ["probability"]),
    ],
    "network",
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 4])],
    [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1])],
    [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="fairlead")
onnx.checker.check_model(model)
onnx.save(model, here / "model.onnx")
quantize_dynamic(here / "model.onnx", here / "small.onnx", weight_type=QuantType.QInt8)
