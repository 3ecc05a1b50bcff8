"""Makes the models of this folder. Run it with a Python that has onnx, skl2onnx and scikit-learn:

    python make.py

The models are small and deterministic; they are committed, so that the tests need no Python.
"""

import pathlib

import numpy as np
from onnx import TensorProto, checker, helper, save
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

HERE = pathlib.Path(__file__).parent
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def write(name, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=8, producer_name="fairlead")
    checker.check_model(model)
    save(model, HERE / f"{name}.onnx")


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


KINDS = {
    "bool": TensorProto.BOOL,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "bytes": TensorProto.STRING,
}

for name, kind in KINDS.items():
    write(
        f"identity_{name}",
        [helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", kind, ["n", 2])],
        [tensor("y", kind, ["n", 2])],
    )

write(
    "strings",
    [
        helper.make_node(
            "LabelEncoder",
            ["city"],
            ["code"],
            domain="ai.onnx.ml",
            keys_strings=["ATL", "ORD", "ÅLB"],
            values_int64s=[1, 2, 3],
            default_int64=-1,
        )
    ],
    [tensor("city", TensorProto.STRING, ["n", 1])],
    [tensor("code", TensorProto.INT64, ["n", 1])],
)

write(
    "batch1",
    [helper.make_node("Add", ["x", "x"], ["y"])],
    [tensor("x", TensorProto.FLOAT, [1, 3])],
    [tensor("y", TensorProto.FLOAT, [1, 3])],
)

write(
    "two_inputs",
    [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Sub", ["a", "b"], ["difference"]),
    ],
    [tensor("a", TensorProto.FLOAT, ["n", 2]), tensor("b", TensorProto.FLOAT, ["n", 2])],
    [tensor("sum", TensorProto.FLOAT, ["n", 2]), tensor("difference", TensorProto.FLOAT, ["n", 2])],
)

write(
    "scalar",
    [helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0)],
    [tensor("x", TensorProto.FLOAT, ["n"])],
    [tensor("mean", TensorProto.FLOAT, [])],
)

# x += 1, `trips` times, one node at a time: as long as one likes, and it can be interrupted between two nodes.
body = helper.make_graph(
    [
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Add", ["value", "one"], ["next"]),
    ],
    "body",
    [
        tensor("i", TensorProto.INT64, []),
        tensor("go", TensorProto.BOOL, []),
        tensor("value", TensorProto.FLOAT, ["n"]),
    ],
    [tensor("go_on", TensorProto.BOOL, []), tensor("next", TensorProto.FLOAT, ["n"])],
)
write(
    "loop",
    [
        helper.make_node("Squeeze", ["trips"], ["count"]),
        helper.make_node("Loop", ["count", "yes", "x"], ["y"], body=body),
    ],
    [tensor("x", TensorProto.FLOAT, ["n"]), tensor("trips", TensorProto.INT64, [1])],
    [tensor("y", TensorProto.FLOAT, ["n"])],
    [
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
    ],
)

write(
    "sequence",
    [helper.make_node("SequenceConstruct", ["x"], ["s"])],
    [tensor("x", TensorProto.FLOAT, ["n"])],
    [helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)],
)

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]], dtype=np.float32)
numbers = DecisionTreeClassifier(random_state=0).fit(X, [0, 1, 1, 0, 5, 5])
words = DecisionTreeClassifier(random_state=0).fit(X, ["setosa", "late", "late", "setosa", "on time", "on time"])
for name, model, zipmap in [
    ("tree", numbers, False),
    ("tree_zipmap", numbers, True),
    ("tree_zipmap_words", words, True),
]:
    out = to_onnx(model, X[:1], options={"zipmap": zipmap}, target_opset={"": 17, "ai.onnx.ml": 3})
    save(out, HERE / f"{name}.onnx")

iris = load_iris()
forest = RandomForestClassifier(n_estimators=20, max_depth=6, random_state=0).fit(iris.data.astype(np.float32), iris.target)
out = to_onnx(forest, iris.data[:1].astype(np.float32), options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
save(out, HERE / "forest.onnx")

# Sequences of tensors, which are served as one tensor.
write(
    "sequence_rows",
    [helper.make_node("SplitToSequence", ["x"], ["s"], axis=0, keepdims=1)],
    [tensor("x", TensorProto.FLOAT, ["n", 2])],
    [helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, [1, 2])],
)
write(
    "sequence_ragged",
    [helper.make_node("SequenceConstruct", ["a", "b"], ["s"])],
    [tensor("a", TensorProto.FLOAT, ["n"]), tensor("b", TensorProto.FLOAT, ["m"])],
    [helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)],
)

# Models that are refused, each for another reason; the checker would refuse some of them too.


def refused(name, nodes, inputs, outputs, initializers=(), opsets=OPSETS, ir_version=8):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    save(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version), HERE / f"refused_{name}.onnx")


x, y = tensor("x", TensorProto.FLOAT, ["n", 2]), tensor("y", TensorProto.FLOAT, ["n", 2])
identity = helper.make_node("Identity", ["x"], ["y"])
refused("ir", [identity], [x], [y], ir_version=99)
refused("opset", [identity], [x], [y], opsets=[helper.make_opsetid("", 99)])
refused("operator", [helper.make_node("Frobnicate", ["x"], ["y"])], [x], [y])
refused(
    "domain",
    [helper.make_node("Frobnicate", ["x"], ["y"], domain="com.example")],
    [x],
    [y],
    opsets=OPSETS + [helper.make_opsetid("com.example", 1)],
)
refused(
    "kernel",
    [helper.make_node("LRN", ["x"], ["y"], size=3)],
    [tensor("x", TensorProto.DOUBLE, ["n", 2, 2, 2])],
    [tensor("y", TensorProto.DOUBLE, ["n", 2, 2, 2])],
)
external = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
external.external_data.add(key="location", value="weights.bin")
refused("external", [helper.make_node("Add", ["x", "w"], ["y"])], [x], [y], [external])
refused("types", [helper.make_node("Add", ["x", "w"], ["y"])], [x], [y], [helper.make_tensor("w", TensorProto.INT64, [1], [1])])
refused(
    "optional",
    [helper.make_node("Optional", ["x"], ["y"])],
    [x],
    [helper.make_value_info("y", helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 2])))],
)
refused(
    "sequence_input",
    [helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)],
    [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["n", 2])],
    [y],
)
refused(
    "float8",
    [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT8E4M3FN)],
    [x],
    [tensor("y", TensorProto.FLOAT8E4M3FN, ["n", 2])],
    opsets=[helper.make_opsetid("", 19)],
    ir_version=9,
)
