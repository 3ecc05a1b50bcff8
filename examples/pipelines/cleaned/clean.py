"""A process step for fairlead that needs nothing but Python: it takes HTML out of texts and puts Unicode in one form.

It answers the Open Inference Protocol on the Unix socket that FAIRLEAD_SOCKET names.
"""

import html
import http.server
import json
import os
import re
import signal
import socketserver
import sys
import unicodedata

MODEL = os.environ.get("FAIRLEAD_MODEL", "clean")
METADATA = {
    "name": MODEL,
    "platform": "python",
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
    "outputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
}


def clean(text: str) -> str:
    text = re.sub(r"<[^>]*>", " ", html.unescape(text))
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self) -> None:
        if self.path == f"/v2/models/{MODEL}":
            self.answer(200, METADATA)
        elif self.path == "/v2/health/ready":
            self.answer(200, {"ready": True})
        else:
            self.answer(404, {"error": f"there is no {self.path}"})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (texts,) = [i for i in request["inputs"] if i["name"] == "text"]
        cleaned = [clean(t) for t in texts["data"]]
        self.answer(200, {"outputs": [{**METADATA["outputs"][0], "shape": texts["shape"], "data": cleaned}]})

    def log_message(self, *_: object) -> None:
        pass  # every request is in the server's own log already

    def address_string(self) -> str:
        return "fairlead"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Server(os.environ["FAIRLEAD_SOCKET"], Handler) as server:
        print("cleaning", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
