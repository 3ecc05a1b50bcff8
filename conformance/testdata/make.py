"""Makes the tiny models that the suite uploads: an identity for each type, and a pair of inputs and outputs.

python make.py   (needs onnx)
"""

from pathlib import Path

from onnx import TensorProto, checker, helper

HERE = Path(__file__).parent
TYPES = {
    "BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16, "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8, "INT16": TensorProto.INT16, "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64, "FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16, "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE, "BYTES": TensorProto.STRING,
}  # fmt: skip


def save(name, nodes, inputs, outputs):
    graph = helper.make_graph(nodes, name, inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8, producer_name="")
    checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def info(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


for datatype, kind in TYPES.items():
    shape = ["rows", 4]
    save(f"identity_{datatype.lower()}", [helper.make_node("Identity", ["x"], ["y"])], [info("x", kind, shape)], [info("y", kind, shape)])

save(
    "pair",
    [helper.make_node("Identity", ["a"], ["a_out"]), helper.make_node("Neg", ["b"], ["b_out"])],
    [info("a", TensorProto.FLOAT, ["rows", 2]), info("b", TensorProto.INT32, ["rows", 2])],
    [info("a_out", TensorProto.FLOAT, ["rows", 2]), info("b_out", TensorProto.INT32, ["rows", 2])],
)
