from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import fairlead

CELL = {
    "n": 100, "m": 3000, "reference": "all", "psi": 0.31, "psi_debiased": 0.3, "psi_floor": 0.02, "ks": None, "ks_floor": None,
    "d1": 0.5, "d1_floor": 0.1, "js": 0.04, "js_floor": 0.01, "missing": 0.0, "unseen": 0.25, "verdict": "drifted",
    "provisional": False,
}  # fmt: skip
DRIFT = {
    "deployment": "flights",
    "version": 3,
    "grain": "day",
    "windows": ["2001-03-01T00:00:00Z", "2001-03-02T00:00:00Z"],
    "columns": [
        {"name": "origin", "kind": "categorical", "output": False, "cells": [CELL, None]},
        {
            "name": "probability",
            "kind": "numeric",
            "output": True,
            "cells": [CELL, {**CELL, "ks": 0.2, "provisional": True}],
        },
    ],
    "rule": {"measure": "psi", "threshold": 0.2, "grain": "hour", "for": 2, "clear": 2},
}


def test_drift_is_tidy(client, fake):
    fake.answer("GET", "/api/v1/deployments/flights/drift", DRIFT)
    d = client.drift("flights", start="2001-03-01", end=pd.Timestamp("2001-03-03"), limit=5)
    assert dict(fake.requests[0].url.params) == {
        "grain": "day", "from": "2001-03-01T00:00:00Z", "to": "2001-03-03T00:00:00Z", "limit": "5",
    }  # fmt: skip
    assert list(zip(d["window"].dt.day, d["column"], strict=True)) == [
        (1, "origin"),
        (1, "probability"),
        (2, "probability"),
    ]
    assert str(d["window"].dt.tz) == "UTC"
    assert np.isnan(d["ks"][0]) and d["ks"][2] == 0.2
    assert d["psi"].tolist() == [0.31] * 3 and d["n"].dtype == "int64"
    assert d["provisional"].tolist() == [False, False, True]
    assert d.attrs["rule"]["threshold"] == 0.2 and d.attrs["version"] == 3


def test_no_drift_says_why(client, fake):
    fake.answer(
        "GET", "/api/v1/deployments/flights/drift", {**DRIFT, "windows": [], "columns": [], "empty": "no_reference"}
    )
    d = client.drift("flights", grain="hour")
    assert d.empty and "psi_debiased" in d.columns
    assert d.attrs["empty"] == "no_reference"
    assert d.dtypes["n"] == "int64" and str(d["window"].dt.tz) == "UTC"


def test_a_grain_that_is_not_there(client, fake):
    with pytest.raises(fairlead.FairleadError, match="grain 'week'"):
        client.drift("flights", grain="week")
    assert not fake.requests


def test_metrics(client, fake):
    point = {
        "start": "2001-03-01T00:00:00Z",
        "n": 10,
        "labelled": 4,
        "provisional": True,
        "metrics": {"accuracy": 0.75, "auroc": None},
    }
    fake.answer(
        "GET",
        "/api/v1/deployments/flights/metrics",
        {"deployment": "flights", "grain": "day", "task": "binary", "label": "late", "names": ["accuracy", "auroc"],
         "points": [point], "reference": {**point, "metrics": {"accuracy": 0.8}}},
    )  # fmt: skip
    m = client.metrics("flights")
    assert list(m.columns) == ["window", "n", "labelled", "provisional", "accuracy", "auroc"]
    assert m["accuracy"][0] == 0.75 and np.isnan(m["auroc"][0])
    assert m.attrs["reference"] == {"accuracy": 0.8}


def test_no_metrics_say_why(client, fake):
    fake.answer(
        "GET",
        "/api/v1/deployments/d/metrics",
        {"deployment": "d", "grain": "day", "names": None, "points": None, "empty": "no_labels"},
    )
    m = client.metrics("d")
    assert m.empty and m.attrs["empty"] == "no_labels"


def test_alerts(client, fake):
    alert = {
        "id": "1", "deployment": "flights", "column": "distance", "state": "firing", "measure": "psi", "value": 1, "worst": 2.5,
        "threshold": 0.2, "floor": 0.01, "n": 500, "grain": "hour", "onset": "2001-03-01T10:00:00Z", "last": "2001-03-01T12:00:00Z",
        "fired": "2001-03-01T11:00:00Z", "message": "distance drifted",
    }  # fmt: skip
    fake.answer("GET", "/api/v1/alerts", [alert, {**alert, "id": "2", "state": "resolved", "deployment": "other"}])
    a = client.alerts()
    assert a["id"].tolist() == ["1", "2"]
    assert a["onset"][0] == pd.Timestamp("2001-03-01T10:00Z") and a["resolved"].isna().all()
    assert client.alerts(state="firing")["id"].tolist() == ["1"]
    assert client.alerts("other")["id"].tolist() == ["2"]
    fake.answer("GET", "/api/v1/alerts", [])
    assert client.alerts().empty


def test_models_and_deployments(client, fake):
    m = client.models()
    assert m.loc[0, ["name", "version", "aliases"]].tolist() == ["flights", 3, ["champion"]]
    assert m["created"][0] == pd.Timestamp("2026-01-02T03:04:05Z") and m["reference_rows"].isna().all()
    deployment = {
        "name": "flights", "model": "flights", "version": 3, "digest": "", "task": "binary", "state": "ready", "rows": 5,
        "labelled": 2, "from": "2001-03-01T00:00:00Z", "firing": 1, "drifted": ["distance"],
        "live": {"requests_per_second": 2.0, "rows_per_second": 20.0, "errors_per_second": 0, "p50_ms": 0.4, "p95_ms": None, "p99_ms": None},
    }  # fmt: skip
    fake.answer("GET", "/api/v1/deployments", [deployment])
    d = client.deployments()
    assert d.loc[0, ["rows", "labelled", "rows_per_second", "p50_ms"]].tolist() == [5, 2, 20.0, 0.4]
    assert d["drifted"][0] == ["distance"] and d["to"].isna().all()
    fake.answer("GET", "/api/v1/deployments", [])
    assert client.deployments().empty


SQL = [
    ("BOOLEAN", [True, False], "bool"),
    ("BOOLEAN", [True, None], "boolean"),
    ("BIGINT", [2**62, 1], "int64"),
    ("INTEGER", [1, None], "Int64"),
    ("HUGEINT", [5, 6], "int64"),
    ("HUGEINT", [2**80, None], "object"),
    ("DOUBLE", [0.5, None], "float64"),
    ("DECIMAL(18,3)", ["1.250", None], "float64"),
    ("VARCHAR", ["a", None], "string"),
    ("ENUM('a', 'b')", ["a", "b"], "string"),
    ("DOUBLE[]", [[1.0], None], "object"),
    ("STRUCT(a INTEGER)", [{"a": 1}, None], "object"),
]


@pytest.mark.parametrize(("kind", "values", "dtype"), SQL, ids=[k + " " + d for k, _, d in SQL])
def test_sql_types(client, fake, kind, values, dtype):
    fake.answer(
        "POST",
        "/api/v1/sql",
        {"columns": ["x"], "types": [kind], "rows": [[v] for v in values], "truncated": False, "seconds": 0.1},
    )
    x = client.sql("SELECT x")["x"]
    assert x.dtype == dtype
    assert x.isna().tolist() == [v is None for v in values]
    assert json.loads(fake.requests[0].content) == {"query": "SELECT x"}


def test_sql_times(client, fake):
    rows = [
        ["2001-03-01T10:00:00.123456Z", "2001-03-01T10:00:00Z", "2001-03-01"],
        [None, "2001-03-01T10:00:00.5Z", None],
    ]
    types = ["TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "DATE"]
    fake.answer(
        "POST",
        "/api/v1/sql",
        {"columns": ["a", "b", "c"], "types": types, "rows": rows, "truncated": False, "seconds": 0},
    )
    t = client.sql("SELECT 1")
    assert t["a"][0] == pd.Timestamp("2001-03-01T10:00:00.123456Z") and pd.isna(t["a"][1])
    assert t["b"][1] == pd.Timestamp("2001-03-01T10:00:00.5Z")
    assert t["c"][0] == pd.Timestamp("2001-03-01") and t["c"].dt.tz is None


def test_sql_empty_and_repeated_columns(client, fake):
    fake.answer(
        "POST",
        "/api/v1/sql",
        {"columns": ["a", "a"], "types": ["BIGINT", "VARCHAR"], "rows": [], "truncated": False, "seconds": 0},
    )
    t = client.sql("SELECT 1 AS a, 'x' AS a WHERE false")
    assert list(t.columns) == ["a", "a"] and len(t) == 0
    assert list(t.dtypes.astype(str)) == ["int64", "string"]


def test_a_cut_answer_warns(client, fake):
    fake.answer(
        "POST", "/api/v1/sql", {"columns": ["a"], "types": ["BIGINT"], "rows": [[1]], "truncated": True, "seconds": 0}
    )
    with pytest.warns(fairlead.FairleadWarning, match="cut at 1 rows"):
        t = client.sql("SELECT 1", limit=1)
    assert t.attrs["truncated"]
    assert json.loads(fake.requests[0].content)["limit"] == 1
