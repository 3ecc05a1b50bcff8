"""Writes MLServer's settings: python settings.py FOLDER NAME MODEL PORT WORKERS. MODEL is .onnx or .joblib."""
import json
import pathlib
import sys

folder, name, model, port, workers = pathlib.Path(sys.argv[1]), *sys.argv[2:]
folder.mkdir(parents=True, exist_ok=True)
port = int(port)
sklearn = model.endswith(".joblib")
(folder / "settings.json").write_text(json.dumps({
    "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "host": "127.0.0.1",
    "parallel_workers": int(workers), "debug": False, "access_log": False, "logging_settings": None,
}))
(folder / "model-settings.json").write_text(json.dumps({
    "name": name,
    "implementation": "mlserver_sklearn.SKLearnModel" if sklearn else "onnx_runtime.Onnx",
    "parameters": {"uri": model},
}))
