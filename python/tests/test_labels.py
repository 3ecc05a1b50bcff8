from __future__ import annotations

import json

import httpx
import numpy as np
import pandas as pd
import pytest

import fairlead

PATH = "/api/v1/deployments/flights/labels"


@pytest.fixture
def labels(fake):
    fake.on("POST", PATH, lambda r: httpx.Response(200, json={"accepted": len(json.loads(r.content)["labels"])}))
    return lambda: [label for body in fake.bodies(PATH) for label in body["labels"]]


def test_ids_and_values(client, labels):
    assert client.label("flights", ["a", "b"], [True, np.bool_(False)]) == 2
    assert labels() == [{"prediction_id": "a", "value": True}, {"prediction_id": "b", "value": False}]


def test_one(client, labels):
    assert client.label("flights", "a", "late", times="2001-03-01T10:00:00+01:00") == 1
    assert labels() == [{"prediction_id": "a", "value": "late", "time": "2001-03-01T09:00:00Z"}]


def test_a_series_indexed_by_id_without_what_is_not_known(client, labels):
    s = pd.Series([1.0, np.nan, 0.0], index=["a", "b", "c"])
    assert client.label("flights", s) == 2
    assert labels() == [{"prediction_id": "a", "value": 1}, {"prediction_id": "c", "value": 0}]
    assert all(type(x["value"]) is int for x in labels())


def test_predictions_with_a_series_matched_by_index(client, labels):
    predictions = pd.DataFrame({"prediction_id": ["a", "b"], "probability": [0.1, 0.2]}, index=[7, 8])
    times = pd.Series(pd.to_datetime(["2001-01-08", "2001-01-07"]), index=[8, 7])
    client.label("flights", predictions, values=pd.Series(["ok", "late"], index=[8, 7]), times=times)
    assert labels() == [
        {"prediction_id": "a", "value": "late", "time": "2001-01-07T00:00:00Z"},
        {"prediction_id": "b", "value": "ok", "time": "2001-01-08T00:00:00Z"},
    ]


def test_a_frame_of_labels(client, labels):
    frame = pd.DataFrame(
        {"prediction_id": ["a"], "value": pd.Categorical(["late"]), "time": pd.to_datetime(["2001-01-01"])}
    )
    client.label("flights", frame)
    assert labels() == [{"prediction_id": "a", "value": "late", "time": "2001-01-01T00:00:00Z"}]


def test_a_named_column(client, labels):
    client.label("flights", pd.DataFrame({"prediction_id": ["a"], "delay": [12.5]}), values="delay")
    assert labels() == [{"prediction_id": "a", "value": 12.5}]


def test_many_go_in_batches(client, fake, labels):
    ids = [f"R.{i}" for i in range(25_000)]
    assert client.label("flights", ids, np.arange(25_000) % 2) == 25_000
    assert [len(b["labels"]) for b in fake.bodies(PATH)] == [10_000, 10_000, 5_000]
    assert [x["prediction_id"] for x in labels()] == ids


def test_nothing_known_asks_nothing(client, fake, labels):
    assert client.label("flights", ["a"], [None]) == 0
    assert not fake.requests


def test_is_tried_again_while_the_server_is_away(client, fake, labels):
    good, failures = fake.routes["POST", PATH], [httpx.ConnectError("refused"), 503]

    def flaky(request):
        if not failures:
            return good(request)
        failure = failures.pop()
        if isinstance(failure, Exception):
            raise failure
        return httpx.Response(failure, json={"error": "draining", "code": "unavailable"})

    fake.on("POST", PATH, flaky)
    assert client.label("flights", ["a"], [1]) == 1
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("predictions", "values", "says"),
    [
        (["a", "b"], [1], "values has 1 values for 2 rows"),
        (["a"], None, "labels need values"),
        (pd.DataFrame({"id": ["a"]}), [1], "no column prediction_id"),
        (pd.DataFrame({"prediction_id": ["a"]}), None, "labels need values"),
        (pd.DataFrame({"prediction_id": ["a"]}), "late", "names no column"),
        ([3], [1], "a prediction id is a string, got 3"),
        (["a"], [float("inf")], "finite number"),
        (["a"], [[1, 2]], "a label is a class name"),
        (pd.DataFrame({"prediction_id": ["a"]}), pd.Series([1], index=[5]), "index of values does not match"),
    ],
)
def test_refused(client, fake, labels, predictions, values, says):
    with pytest.raises(fairlead.FairleadError, match=says):
        client.label("flights", predictions, values)
    assert not fake.requests
