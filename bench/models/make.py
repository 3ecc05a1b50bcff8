"""Makes the models of the benchmark, the same ones every time.

    python make.py FOLDER

iris      random forest of 100 trees on Fisher's iris, 4 features, 3 classes   (also as iris.joblib, for MLServer)
trees     LightGBM of 500 trees of 31 leaves on made data, 28 features, binary
mlp       dense net 784-800-400-10 with ReLU, 0.95 M parameters, random weights
mobilenet depthwise-separable convolutions on 224x224x3, the layer sizes of MobileNet v1 (Howard et al. 2017), random
          weights: 4.2 M parameters, 0.57 G multiply-adds

Each FOLDER/NAME.onnx has one free first dimension. The two tables also give FOLDER/NAME.parquet, the reference for
monitoring, and FOLDER/NAME.rows.json, rows to ask for.
"""
import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def save(model, folder, name):
    onnx.checker.check_model(model)
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())


def table(folder, name, x):
    import pandas as pd

    rows = x[np.random.default_rng(1).permutation(len(x))[:64]]
    (folder / f"{name}.rows.json").write_text(json.dumps([[float(str(v)) for v in row] for row in rows]))
    pd.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[1])]).to_parquet(folder / f"{name}.parquet")


def bundle(folder, name, width, task):
    """The folder that fairlead pushes with the reference: features by name."""
    to = folder / f"{name}-bundle"
    to.mkdir(exist_ok=True)
    (to / "model.onnx").write_bytes((folder / f"{name}.onnx").read_bytes())
    (to / "reference.parquet").write_bytes((folder / f"{name}.parquet").read_bytes())
    features = ", ".join(f"f{i}" for i in range(width))
    (to / "fairlead.yaml").write_text(
        f"name: {name}\nmodel: model.onnx\ntask: {task}\ninputs:\n  - name: input\n    features: [{features}]\nreference: reference.parquet\n"
    )


def iris(folder):
    import joblib
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    x, y = load_iris(return_X_y=True)
    x = x.astype(np.float32)
    forest = RandomForestClassifier(n_estimators=100, random_state=0).fit(x, y)
    joblib.dump(forest, folder / "iris.joblib")
    model = to_onnx(forest, initial_types=initial(4), options={"zipmap": False}, target_opset=OPSET)
    save(model, folder, "iris")
    table(folder, "iris", x)
    bundle(folder, "iris", 4, "multiclass")


def trees(folder):
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    chance = np.random.default_rng(0)
    x = chance.normal(size=(20000, 28)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + np.sin(x[:, 2] * 3) + chance.normal(size=len(x)) > 0).astype(int)
    booster = lightgbm.LGBMClassifier(n_estimators=500, num_leaves=31, random_state=0, n_jobs=1, verbose=-1).fit(x, y)
    model = convert_lightgbm(booster, initial_types=[("input", FloatTensorType([None, 28]))], zipmap=False, target_opset=15)
    save(model, folder, "trees")
    table(folder, "trees", x)
    bundle(folder, "trees", 28, "binary")


def initial(width):
    from skl2onnx.common.data_types import FloatTensorType

    return [("input", FloatTensorType([None, width]))]


def mlp(folder):
    chance = np.random.default_rng(0)
    sizes = [784, 800, 400, 10]
    nodes, weights, last = [], [], "input"
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        weights.append(numpy_helper.from_array((chance.normal(size=(a, b)) * np.sqrt(2 / a)).astype(np.float32), f"w{i}"))
        weights.append(numpy_helper.from_array(np.zeros(b, np.float32), f"b{i}"))
        out = "output" if i == len(sizes) - 2 else f"h{i}"
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [out if out == "output" else f"z{i}"]))
        if out != "output":
            nodes.append(helper.make_node("Relu", [f"z{i}"], [out]))
        last = out
    graph(folder, "mlp", nodes, weights, [784], [10])


def mobilenet(folder):
    chance = np.random.default_rng(0)
    nodes, weights, last = [], [], "input"

    def conv(i, into, out, size, stride, groups):
        nonlocal last
        w = chance.normal(size=(out, into // groups, size, size)) * np.sqrt(2 / (into // groups * size * size))
        weights.append(numpy_helper.from_array(w.astype(np.float32), f"w{i}"))
        weights.append(numpy_helper.from_array(np.zeros(out, np.float32), f"b{i}"))
        pad = size // 2
        nodes.append(helper.make_node("Conv", [last, f"w{i}", f"b{i}"], [f"c{i}"], kernel_shape=[size, size],
                                      strides=[stride, stride], pads=[pad] * 4, group=groups))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        last = f"r{i}"

    conv(0, 3, 32, 3, 2, 1)
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    width = 32
    for i, (out, stride) in enumerate(blocks):
        conv(2 * i + 1, width, width, 3, stride, width)
        conv(2 * i + 2, width, out, 1, 1, 1)
        width = out
    weights.append(numpy_helper.from_array((chance.normal(size=(1024, 1000)) * 0.03).astype(np.float32), "wf"))
    weights.append(numpy_helper.from_array(np.zeros(1000, np.float32), "bf"))
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pool"]))
    nodes.append(helper.make_node("Flatten", ["pool"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "wf", "bf"], ["output"]))
    graph(folder, "mobilenet", nodes, weights, [3, 224, 224], [1000])


def graph(folder, name, nodes, weights, into, out):
    def value(which, shape):
        return helper.make_tensor_value_info(which, TensorProto.FLOAT, ["N", *shape])

    g = helper.make_graph(nodes, name, [value("input", into)], [value("output", out)], weights)
    save(helper.make_model(g, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8), folder, name)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make in (iris, trees, mlp, mobilenet):
        if not (folder / f"{make.__name__}.onnx").exists():
            make(folder)
            print("made", make.__name__, flush=True)
