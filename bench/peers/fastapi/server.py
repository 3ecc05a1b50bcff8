"""FastAPI with onnxruntime, as one writes it: a typed body, a session, an async handler. MODEL is the .onnx file."""
import json
import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
outputs = [o.name for o in session.get_outputs()]
types = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64}
names = {np.dtype(t): n for n, t in types.items()}

app = FastAPI()


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Infer(BaseModel):
    inputs: list[Tensor]


@app.get("/ready")
async def ready():
    return {}


@app.post("/v2/models/{model}/infer")
async def infer(model: str, body: Infer):
    t = body.inputs[0]
    answers = session.run(outputs, {name: np.array(t.data, types[t.datatype]).reshape(t.shape)})
    return {
        "model_name": model,
        "outputs": [
            {"name": n, "datatype": names[a.dtype], "shape": a.shape, "data": a.ravel().tolist()}
            for n, a in zip(outputs, answers)
        ],
    }


@app.post("/binary/{model}/infer")
async def binary(model: str, request: Request):
    body = await request.body()
    length = int(request.headers["inference-header-content-length"])
    t = json.loads(body[:length])["inputs"][0]
    answers = session.run(outputs, {name: np.frombuffer(body, types[t["datatype"]], offset=length).reshape(t["shape"])})
    head = json.dumps({
        "model_name": model,
        "outputs": [
            {"name": n, "datatype": names[a.dtype], "shape": a.shape, "parameters": {"binary_data_size": a.nbytes}}
            for n, a in zip(outputs, answers)
        ],
    }).encode()
    return Response(b"".join([head, *(a.tobytes() for a in answers)]), media_type="application/octet-stream",
                    headers={"Inference-Header-Content-Length": str(len(head))})
