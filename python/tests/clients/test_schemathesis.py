"""Requests that schemathesis makes up from the protocol's OpenAPI document: the server must never fail, everything that it
answers must be in the document, and what the document forbids must be refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from identities import ROOT, Server

DOCUMENT = ROOT / "conformance" / "openapi" / "oip-v2.yaml"
SEED, EXAMPLES = 20261122, 60


def document() -> dict[str, Any]:
    doc = yaml.safe_load(DOCUMENT.read_text())
    # Clients in Python write null for what they leave out, and the server takes it so.
    schemas = doc["components"]["schemas"]
    optional = [
        schemas["Parameters"],
        schemas["InferenceRequest"]["properties"]["id"],
        schemas["InferenceRequest"]["properties"]["outputs"],
    ]
    for schema in optional:
        schema["nullable"] = True
    return doc


def run(server: Server, doc: dict[str, Any], folder: Path, *more: str) -> None:
    path = folder / "openapi.json"
    path.write_text(json.dumps(doc))
    # A document for all models cannot say what one of them takes: a request that fits it may still be refused.
    more = ("--exclude-checks", "positive_data_acceptance", *more)
    st = Path(sys.executable).with_name("st")
    args = [
        str(st),
        "run",
        str(path),
        "--url",
        f"http://{server.http}",
        "--seed",
        str(SEED),
        "--max-examples",
        str(EXAMPLES),
    ]
    args += [
        "--generation-database",
        "none",
        "--no-color",
        "--warnings",
        "off",
        "--phases",
        "examples,coverage,fuzzing",
        *more,
    ]
    done = subprocess.run(args, capture_output=True, text=True, cwd=folder, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "generated" in done.stdout, done.stdout  # something was asked at all
    assert httpx.get(f"http://{server.http}/v2/health/ready", trust_env=False).status_code == 200


def pinned(doc: dict[str, Any]) -> dict[str, Any]:
    """The document for one model that exists, with a request that it answers as an example."""
    good = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2.5, -3, 0]}]}
    for path in doc["paths"].values():
        for p in path.get("parameters", []):
            resolved = doc["components"]["parameters"][p["$ref"].rsplit("/", 1)[1]] if "$ref" in p else p
            resolved["schema"] = {
                "type": "string",
                "enum": ["1" if "version" in resolved["name"].lower() else "identity_fp32"],
            }
        if "post" in path:
            path["post"]["requestBody"]["content"]["application/json"]["example"] = good
    return doc


def test_any_model(server: Server, tmp_path: Path) -> None:
    run(server, document(), tmp_path)


def test_a_model_that_exists(server: Server, tmp_path: Path) -> None:
    run(server, pinned(document()), tmp_path)


def test_schemathesis_sees_what_is_wrong(server: Server, tmp_path: Path) -> None:
    doc = pinned(document())
    doc["components"]["schemas"]["ServerMetadata"]["properties"]["version"] = {"type": "integer"}
    with pytest.raises(AssertionError, match="(?i)schema"):
        run(server, doc, tmp_path, "--include-path", "/v2")
