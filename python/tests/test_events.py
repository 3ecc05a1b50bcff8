from __future__ import annotations

import json

import httpx
import numpy as np
import pandas as pd
import pytest

import fairlead

PATH = "/api/v1/deployments/flights/events"


@pytest.fixture
def events(fake):
    fake.on("POST", PATH, lambda r: httpx.Response(200, json={"accepted": len(json.loads(r.content)["events"])}))
    return lambda: [event for body in fake.bodies(PATH) for event in body["events"]]


def without_ids(events):
    assert len({e["id"] for e in events}) == len(events)
    return [{k: v for k, v in e.items() if k != "id"} for e in events]


def test_one(client, events):
    assert client.event("flights", "revenue", "a", 12.5, times="2001-03-01T10:00:00+01:00") == 1
    assert without_ids(events()) == [
        {"name": "revenue", "value": 12.5, "prediction_id": "a", "time": "2001-03-01T09:00:00Z"}
    ]


def test_predictions_with_a_series_matched_by_index(client, events):
    predictions = pd.DataFrame({"prediction_id": ["a", "b", "c"]}, index=[7, 8, 9])
    assert client.event("flights", "click", predictions, values=pd.Series([True, np.nan, False], index=[9, 8, 7])) == 2
    assert without_ids(events()) == [
        {"name": "click", "value": 0, "prediction_id": "a"},
        {"name": "click", "value": 1, "prediction_id": "c"},
    ]
    assert all(type(e["value"]) is int for e in events())


def test_by_entity_and_time(client, events):
    assert client.event("flights", "saved", keys=[17, 18], values=[1, 2.5], times=["2001-01-01", "2001-01-02"]) == 2
    assert without_ids(events()) == [
        {"name": "saved", "value": 1, "key": "17", "time": "2001-01-01T00:00:00Z"},
        {"name": "saved", "value": 2.5, "key": "18", "time": "2001-01-02T00:00:00Z"},
    ]


def test_tried_again_with_the_same_ids(client, fake, events):
    good, failures = fake.routes["POST", PATH], [503]

    def flaky(request):
        return httpx.Response(failures.pop(), json={"error": "draining"}) if failures else good(request)

    fake.on("POST", PATH, flaky)
    assert client.event("flights", "revenue", ["a"], [1]) == 1
    first, second = fake.bodies(PATH)
    assert first == second


def test_many_go_in_batches(client, fake, events):
    assert client.event("flights", "revenue", [f"R.{i}" for i in range(25_000)], np.arange(25_000)) == 25_000
    assert [len(b["events"]) for b in fake.bodies(PATH)] == [10_000, 10_000, 5_000]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"values": [1]}, "belongs to a prediction or to an entity"),
        ({"predictions": ["a"], "keys": ["b"], "values": [1]}, "belongs to a prediction or to an entity"),
        ({"predictions": ["a"]}, "events need values"),
        ({"predictions": ["a"], "values": ["late"]}, "is a number, got 'late' for revenue"),
        ({"predictions": ["a"], "values": [float("inf")]}, "finite number"),
        ({"predictions": ["a", "b"], "values": [1]}, "values has 1 values for 2 rows"),
    ],
)
def test_refused(client, fake, events, given, says):
    with pytest.raises(fairlead.FairleadError, match=says):
        client.event("flights", "revenue", **given)
    assert not fake.requests
