"""Ray Serve with onnxruntime: python server.py PORT. MODEL is the .onnx file, WORKERS the replicas."""
import os
import signal
import sys

import numpy as np
import onnxruntime as ort
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=int(os.environ.get("WORKERS", "1")), ray_actor_options={"num_cpus": 0.5}, max_ongoing_requests=64)
class Model:
    def __init__(self, path):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name
        self.outputs = [o.name for o in self.session.get_outputs()]

    async def __call__(self, request: Request):
        if request.method == "GET":
            return {}
        t = (await request.json())["inputs"][0]
        answers = self.session.run(self.outputs, {self.name: np.array(t["data"], np.float32).reshape(t["shape"])})
        return {
            "outputs": [
                {"name": n, "datatype": "FP32" if a.dtype == np.float32 else "INT64", "shape": a.shape, "data": a.ravel().tolist()}
                for n, a in zip(self.outputs, answers)
            ],
        }


if __name__ == "__main__":
    ray.init(include_dashboard=False, num_cpus=4, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Model.bind(os.environ["MODEL"]), route_prefix="/")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
