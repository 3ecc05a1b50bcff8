"""Makes the models of this folder. Run it with a Python that has onnx:

    python make.py

All take "features" (x from 0 to 1, segment 0 to 3) and answer a probability, after some work that keeps a core busy for a
fraction of a millisecond. good and again are the same function; the others are bad in one way each:

    nan       is no number where x > 0.7
    slow      works three times as long
    segment   fails where the segment is 3
    shifted   answers 0.1 more

They are small and deterministic; they are committed, so that the tests need no Python.
"""

import pathlib

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

HERE = pathlib.Path(__file__).parent
WIDTH, ROUNDS = 256, 30


def constant(name, value, kind=np.float32):
    return numpy_helper.from_array(np.asarray(value, kind), name)


def model(name, doc, rounds=ROUNDS, extra=(), out="p", constants=()):
    node = helper.make_node
    nodes = [
        node("Gather", ["features", "zero"], ["x"], axis=1),  # [n, 1]
        node("Gather", ["features", "one"], ["code"], axis=1),
        node("Cast", ["code"], ["segment"], to=TensorProto.INT64),
        # Work that the optimizer cannot leave out: its result counts, a little.
        node("ConstantOfShape", ["square"], ["weights"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.004])),
        node("ConstantOfShape", ["wide"], ["first"], value=helper.make_tensor("u", TensorProto.FLOAT, [1], [0.01])),
        node("MatMul", ["features", "first"], ["w0"]),
    ]
    for i in range(rounds):
        nodes += [node("MatMul", [f"w{i}", "weights"], [f"m{i}"]), node("Tanh", [f"m{i}"], [f"w{i + 1}"])]
    nodes += [
        node("ReduceMean", [f"w{rounds}"], ["work"], axes=[1], keepdims=1),
        node("Mul", ["work", "tiny"], ["little"]),
        node("Mul", ["x", "slope"], ["steep"]),
        node("Add", ["steep", "offset"], ["centred"]),
        node("Add", ["centred", "little"], ["logit"]),
        node("Sigmoid", ["logit"], ["p"]),
        *extra,
        node("Identity", [out], ["probability"]),
    ]
    constants = [
        constant("zero", [0], np.int64), constant("one", [1], np.int64), constant("square", [WIDTH, WIDTH], np.int64),
        constant("wide", [2, WIDTH], np.int64), constant("tiny", 1e-6), constant("slope", 3), constant("offset", -1.5), *constants,
    ]
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 1])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="fairlead", doc_string=doc)
    checker.check_model(made)
    save(made, HERE / f"{name}.onnx")


node = helper.make_node
model("good", "as it should be")
model("again", "as it should be, once more")
model("slow", "works three times as long", rounds=3 * ROUNDS)
model("shifted", "answers 0.1 more", extra=[node("Add", ["p", "shift"], ["q"])], out="q", constants=[constant("shift", 0.1)])
model(
    "nan", "is no number where x > 0.7",
    extra=[node("Greater", ["x", "most"], ["far"]), node("Where", ["far", "none", "p"], ["q"])], out="q",
    constants=[constant("most", 0.7), constant("none", np.nan)],
)
model(
    "segment", "fails where the segment is 3",
    extra=[node("Gather", ["table", "segment"], ["known"]), node("Mul", ["p", "known"], ["q"])], out="q",
    constants=[constant("table", [1, 1, 1])],
)
