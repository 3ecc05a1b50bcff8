"""Triton, as PyTriton brings it, with onnxruntime in a Python callable: python server.py PORT NAME. MODEL is the .onnx file.

PyTriton's Triton has no ONNX backend, so this is Triton's own HTTP front end and batcher before Python.
"""
import os
import signal
import sys
import threading

import numpy as np
import onnxruntime as ort
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
source = session.get_inputs()[0]
outputs = session.get_outputs()
dtypes = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


@batch
def infer(**tensors):
    answers = session.run([o.name for o in outputs], tensors)
    return {o.name: a.reshape(len(a), -1) for o, a in zip(outputs, answers)}


def main():
    port, name = int(sys.argv[1]), sys.argv[2]
    config = TritonConfig(http_port=port, grpc_port=port + 1, metrics_port=port + 2, http_address="127.0.0.1", log_verbose=0)
    with Triton(config=config) as triton:
        triton.bind(
            model_name=name, infer_func=infer, config=ModelConfig(max_batch_size=64),
            inputs=[Tensor(name=source.name, dtype=np.float32, shape=[d if isinstance(d, int) else -1 for d in source.shape[1:]])],
            outputs=[Tensor(name=o.name, dtype=dtypes[o.type], shape=(-1,)) for o in outputs],
        )
        triton.run()
        done = threading.Event()
        for s in (signal.SIGTERM, signal.SIGINT):
            signal.signal(s, lambda *_: done.set())
        done.wait()


if __name__ == "__main__":
    main()
