"""Makes the folders beside it: MLflow's ONNX models and folders as the ONNX model zoo has them.

pip install mlflow-skinny onnx onnxruntime scikit-learn skl2onnx pandas
"""

import os
import shutil

import mlflow.onnx
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from mlflow.models import infer_signature
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)


def folder(name):
    path = os.path.join(here, name)
    shutil.rmtree(path, ignore_errors=True)
    return path


def fixed(path):
    """MLflow writes times, ids and the machine's packages: the tests need none of it to change."""
    for name in ("conda.yaml", "python_env.yaml", "requirements.txt"):
        os.remove(os.path.join(path, name))
    file = os.path.join(path, "MLmodel")
    lines = []
    for line in open(file):
        key = line.split(":")[0].strip()
        if key == "utc_time_created":
            line = "utc_time_created: '2026-01-01 00:00:00.000000'\n"
        if key in ("model_uuid", "model_id"):
            line = f"{key}: 0123456789abcdef0123456789abcdef\n"
        lines.append(line)
    open(file, "w").writelines(lines)


def linear(width, outputs, data=None):
    weights = rng.normal(size=(width, outputs)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, outputs])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# Columns, with an example as a data frame.
frame = pd.DataFrame(rng.normal(size=(6, 3)), columns=["distance", "hour", "weekday"])
label = (frame["distance"] + frame["hour"] > 0).astype(int)
classifier = LogisticRegression().fit(frame, label)
model = to_onnx(classifier, frame.to_numpy(np.float32), options={"zipmap": False}, target_opset=17)
path = folder("mlflow_columns")
mlflow.onnx.save_model(
    model, path, signature=infer_signature(frame, classifier.predict_proba(frame)), input_example=frame.head(3),
    save_as_external_data=False,
)
fixed(path)

# Tensors, external data, an example as an array.
model = linear(64, 32)
example = rng.normal(size=(2, 64)).astype(np.float32)
path = folder("mlflow_external")
mlflow.onnx.save_model(
    model, path, signature=infer_signature(example, np.zeros((2, 32), np.float32)), input_example=example,
    save_as_external_data=False,  # it would have a name of chance
)
onnx.save_model(
    onnx.load(os.path.join(path, "model.onnx")), os.path.join(path, "model.onnx"),
    save_as_external_data=True, all_tensors_to_one_file=True, location="model.onnx.data", size_threshold=0,
)
fixed(path)

# The model zoo: data sets in protobuf.
model = linear(4, 2)
path = folder("zoo")
os.makedirs(path)
onnx.save(model, os.path.join(path, "model.onnx"))
session = onnxruntime.InferenceSession(model.SerializeToString())
for i in range(3):
    x = rng.normal(size=(2, 4)).astype(np.float32)
    (y,) = session.run(None, {"x": x})
    data = os.path.join(path, f"test_data_set_{i}")
    os.makedirs(data)
    for name, value in (("input_0", x), ("output_0", y)):
        with open(os.path.join(data, f"{name}.pb"), "wb") as f:
            f.write(numpy_helper.from_array(value, "" if i == 2 else name[0].replace("i", "x").replace("o", "y")).SerializeToString())
