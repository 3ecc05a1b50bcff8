from __future__ import annotations

import datetime as dt
import decimal

import httpx
import numpy as np
import pandas as pd
import pytest

import fairlead

INFER = "/v2/models/flights/infer"


def sent(fake):
    return [row for body in fake.bodies(INFER) for row in body["instances"]]


def test_answer_keeps_the_index_and_names_the_positive_class(client, flights):
    df = pd.DataFrame({"distance": [100.0, 900.0], "origin": ["ATL", "JFK"]}, index=["x", "y"])
    out = client.predict("flights", df)
    assert list(out.columns) == ["prediction_id", "probability"]
    assert list(out.index) == ["x", "y"]
    assert out["probability"].tolist() == [0.1, 0.9]
    assert out["prediction_id"].tolist() == ["R.0", "R.1"]
    assert sent(flights) == [{"distance": 100.0, "origin": "ATL"}, {"distance": 900.0, "origin": "JFK"}]
    assert "rows" not in flights.bodies(INFER)[0]


@pytest.mark.parametrize(
    ("column", "want"),
    [
        (pd.Series([1.5, np.nan]), [1.5, None]),
        (pd.Series([1.5, 2.5], dtype="float32"), [1.5, 2.5]),
        (pd.Series([1, 2], dtype="uint8"), [1, 2]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([0.5, None], dtype="Float64"), [0.5, None]),
        (pd.Series(["a", None], dtype="string"), ["a", None]),
        (pd.Series(["a", None], dtype=object), ["a", None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.Series([7, 8], dtype="category"), [7, 8]),
        (pd.Series([True, False]), [True, False]),
        (pd.Series([True, None], dtype="boolean"), [True, None]),
        (pd.Series([True, False], dtype="category"), [True, False]),
        (pd.Series([decimal.Decimal("1.25"), np.float32(2)], dtype=object), [1.25, 2.0]),
        (pd.Series([np.int64(3), float("nan")], dtype=object), [3, None]),
        (pd.Series([np.array([1.0, np.nan]), [2, 3]], dtype=object), [[1.0, None], [2, 3]]),
        (pd.Series([1, 2], dtype="int64[pyarrow]"), [1, 2]),
        (pd.Series([1.5, None], dtype="double[pyarrow]"), [1.5, None]),
        (pd.Series([True, None], dtype="bool[pyarrow]"), [True, None]),
    ],
    ids=lambda v: str(v.dtype) if isinstance(v, pd.Series) else "",
)
def test_values_of_every_dtype(client, flights, column, want):
    client.predict("flights", pd.DataFrame({"x": column}))
    got = [row["x"] for row in sent(flights)]
    assert got == want
    assert [type(v) for v in got] == [type(v) for v in want]


def test_infinities_are_sent(client, flights):
    client.predict("flights", pd.DataFrame({"x": [np.inf, -np.inf], "y": pd.Series([np.inf, 1], dtype=object)}))
    (request,) = [r for r in flights.requests if r.url.path == INFER]
    assert request.content == b'{"instances":[{"x":Infinity,"y":Infinity},{"x":-Infinity,"y":1}]}'


def test_booleans_of_a_float_input_are_numbers(client, flights):
    client.predict("flights", pd.DataFrame({"holiday": pd.Series([True, None], dtype="boolean")}))
    assert [row["holiday"] for row in sent(flights)] == [1, None]
    assert not isinstance(sent(flights)[0]["holiday"], bool)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pd.to_datetime(["2001-01-01"]), "datetime64.*times='x'"),
        (pd.Series([dt.date(2001, 1, 1)]), "holds date.*times='x'"),
        (pd.to_timedelta(["1h"]), "timedelta64"),
        (pd.Series([1 + 2j]), "complex128"),
        (pd.Series([b"x"]), "bytes.*decode"),
        (pd.period_range("2001", periods=1), "period"),
        (pd.Series([{"a": 1}]), "holds dict"),
    ],
)
def test_refused_values_name_the_column(client, flights, values, says):
    with pytest.raises(fairlead.FairleadError, match=says) as e:
        client.predict("flights", pd.DataFrame({"x": values}))
    assert "'x'" in str(e.value)
    assert e.value.code == "invalid"
    assert not sent(flights)


@pytest.mark.parametrize(
    ("df", "says"),
    [
        (np.zeros((2, 2)), "expected a DataFrame.*got ndarray"),
        (pd.DataFrame(np.zeros((2, 2))), "column names must be strings, got 0, 1"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "appear twice: 'a'"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "MultiIndex"),
        (pd.DataFrame(index=[1, 2]), "no features"),
    ],
)
def test_refused_frames(client, flights, df, says):
    with pytest.raises(fairlead.FairleadError, match=says):
        client.predict("flights", df)


def test_a_dict_is_one_row(client, flights):
    assert client.predict("flights", {"distance": 250})["probability"].tolist() == [0.25]
    assert client.predict("flights", [{"distance": 1}, {"distance": 2}])["probability"].tolist() == [0.001, 0.002]


def test_what_is_said_about_rows(client, flights):
    df = pd.DataFrame(
        {
            "distance": [1, 2, 3],
            "at": pd.to_datetime(["2001-03-01 10:00", None, "2001-03-01 12:30"]),
            "tail": ["N1", "N2", None],
        },
        index=[10, 20, 30],
    )
    client.predict("flights", df, ids=["a", "b", "c"], times="at", keys="tail", tags={"run": 7})
    (body,) = flights.bodies(INFER)
    assert body["instances"] == [{"distance": 1}, {"distance": 2}, {"distance": 3}]
    assert body["rows"] == [
        {"id": "a", "time": "2001-03-01T10:00:00Z", "key": "N1", "tags": {"run": "7"}},
        {"id": "b", "key": "N2", "tags": {"run": "7"}},
        {"id": "c", "time": "2001-03-01T12:30:00Z", "tags": {"run": "7"}},
    ]


def test_a_series_is_matched_by_index_and_zones_become_utc(client, flights):
    df = pd.DataFrame({"distance": [1, 2]}, index=["x", "y"])
    times = pd.Series(pd.to_datetime(["2001-01-02", "2001-01-01"]).tz_localize("America/New_York"), index=["y", "x"])
    client.predict("flights", df, times=times)
    assert [r["time"] for r in flights.bodies(INFER)[0]["rows"]] == ["2001-01-01T05:00:00Z", "2001-01-02T05:00:00Z"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ids": ["a"]}, "ids has 1 values for 2 rows"),
        ({"ids": pd.Series(["a", "b"], index=[8, 9])}, "index of ids does not match"),
        ({"times": "nope"}, "names no column"),
        ({"times": [1, 2]}, "must be datetimes"),
        ({"times": ["soon", "later"]}, "must be datetimes"),
        ({"tags": [{}]}, "tags has 1 values"),
        ({"tags": ["a", "b"]}, "tags must be a dict"),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_refused_options(client, flights, options, says):
    with pytest.raises(fairlead.FairleadError, match=says):
        client.predict("flights", pd.DataFrame({"distance": [1, 2]}), **options)
    assert not sent(flights)


def test_large_frames_go_in_batches(client, flights):
    df = pd.DataFrame({"distance": range(4500)})
    out = client.predict("flights", df, keys=df["distance"])
    assert [len(b["instances"]) for b in flights.bodies(INFER)] == [2000, 2000, 500]
    assert flights.bodies(INFER)[2]["rows"][0]["key"] == "4000"
    assert out["prediction_id"].tolist() == [f"R.{i}" for i in range(4500)]
    assert out["probability"].to_numpy() == pytest.approx(np.arange(4500) / 1000)


def test_wide_frames_go_in_smaller_batches(client, flights):
    client.predict("flights", pd.DataFrame(np.zeros((500, 1000)), columns=[f"c{i}" for i in range(1000)]))
    assert [len(b["instances"]) for b in flights.bodies(INFER)] == [200, 200, 100]


def test_batch_size_and_progress(client, flights, capsys):
    client.predict("flights", pd.DataFrame({"distance": [1, 2, 3]}), batch_size=2, progress=True)
    assert [len(b["instances"]) for b in flights.bodies(INFER)] == [2, 1]
    assert "2/2" in capsys.readouterr().err


def test_an_empty_frame_asks_nothing(client, flights):
    out = client.predict("flights", pd.DataFrame({"distance": []}))
    assert list(out.columns) == ["prediction_id"] and out.empty
    assert not sent(flights)


def test_a_failure_half_way_hands_over_what_was_answered(client, flights):
    good = flights.routes["POST", INFER]

    def infer(request):
        if len(flights.bodies(INFER)) == 3:
            return httpx.Response(503, json={"error": "draining", "code": "unavailable"})
        return good(request)

    flights.on("POST", INFER, infer)
    df = pd.DataFrame({"distance": range(10)}, index=list("abcdefghij"))
    with pytest.raises(fairlead.FairleadError, match="rows 4 to 5 failed, the 4 before them") as e:
        client.predict("flights", df, batch_size=2)
    assert e.value.code == "unavailable" and e.value.status == 503
    assert list(e.value.partial.index) == list("abcd")
    assert len(flights.bodies(INFER)) == 3  # a prediction is recorded: not sent again


@pytest.mark.parametrize(
    ("outputs", "task", "row", "want"),
    [
        ([{"name": "y", "role": "value"}], "regression", 1.5, {"y": 1.5}),
        ([{"name": "y", "role": "value"}], "regression", [1.5], {"y": 1.5}),
        (
            [{"name": "p", "role": "score", "classes": ["a", "b", "c"]}],
            "multiclass",
            [0.1, 0.2, 0.7],
            {"p.a": 0.1, "p.b": 0.2, "p.c": 0.7},
        ),
        ([{"name": "e", "role": "embedding"}], "none", [1.0, 2.0], {"e.0": 1.0, "e.1": 2.0}),
        ([{"name": "e"}], "none", [[1.0], [2.0]], {"e": [[1.0], [2.0]]}),
        (
            [{"name": "p", "role": "score", "classes": ["a", "b"]}, {"name": "l", "role": "label"}],
            "binary",
            {"p": [0.25, 0.75], "l": "b"},
            {"p": 0.75, "l": "b"},
        ),
    ],
)
def test_outputs(client, flights, outputs, task, row, want):
    version = {
        "version": 3,
        "digest": "",
        "created": "2026-01-01T00:00:00Z",
        "size_bytes": 1,
        "task": task,
        "outputs": outputs,
    }
    flights.answer("GET", "/api/v1/models", [{"name": "flights", "aliases": {}, "versions": [version]}])
    flights.answer("POST", INFER, {"predictions": [row], "ids": ["a"], "model_version": "3"})
    out = client.predict("flights", {"x": 1})
    assert out.iloc[0].to_dict() == {"prediction_id": "a", **want}


def test_without_a_control_api_outputs_are_numbered(client, flights):
    del flights.routes["GET", "/api/v1/deployments"]
    out = client.predict("flights", {"distance": 250})
    assert list(out.columns) == ["prediction_id", "prediction.0", "prediction.1"]


def test_the_signature_is_asked_once_until_another_version_answers(client, flights):
    client.predict("flights", {"distance": 1})
    client.predict("flights", {"distance": 1})
    asked = [r.url.path for r in flights.requests].count("/api/v1/models")
    assert asked == 1
    flights.answer("POST", INFER, {"predictions": [[0.5, 0.5]], "ids": ["a"], "model_version": "4"})
    client.predict("flights", {"distance": 1})
    assert [r.url.path for r in flights.requests].count("/api/v1/models") == 2


@pytest.mark.parametrize("answer", [{}, {"predictions": [1], "ids": ["a", "b"]}, {"predictions": None, "ids": None}])
def test_an_answer_of_another_length_is_an_error(client, flights, answer):
    flights.answer("POST", INFER, answer)
    with pytest.raises(fairlead.FairleadError, match="expected 1 predictions"):
        client.predict("flights", {"distance": 1})
