"""BentoML with onnxruntime. MODEL is the .onnx file, WORKERS the processes."""
import os

import bentoml
import numpy as np
import onnxruntime as ort


@bentoml.service(workers=int(os.environ.get("WORKERS", "1")), traffic={"timeout": 60}, metrics={"enabled": False})
class Model:
    def __init__(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name
        self.outputs = [o.name for o in self.session.get_outputs()]

    @bentoml.api(route="/infer")
    async def infer(self, inputs: np.ndarray) -> dict:
        answers = self.session.run(self.outputs, {self.name: inputs.astype(np.float32)})
        return {n: a.tolist() for n, a in zip(self.outputs, answers)}
