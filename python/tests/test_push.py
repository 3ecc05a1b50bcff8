from __future__ import annotations

import io
import re
import tarfile

import httpx
import lightgbm
import numpy as np
import onnx
import onnxruntime as rt
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xgboost
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC

import fairlead

N = 300


@pytest.fixture(scope="module")
def df():
    rng = np.random.default_rng(1)
    df = pd.DataFrame(
        {
            "at": pd.date_range("2001-01-01", periods=N, freq="h"),
            "distance": rng.normal(size=N),
            "hour": rng.integers(0, 24, N),
            "origin": rng.choice(["ATL", "JFK", "ORD"], N),
        }
    )
    df["late"] = df["distance"] + (df["origin"] == "ATL") + 0.3 * rng.normal(size=N) > 0.4
    return df


@pytest.fixture
def server(fake):
    version = {
        "model": "m", "version": 1, "digest": "sha256:1", "created": "2026-01-02T03:04:05Z", "size_bytes": 10, "task": "binary",
        "inputs": [], "outputs": [], "deployment": "m", "existing": False, "$schema": "x",
    }  # fmt: skip
    fake.answer("POST", "/api/v1/models/m/versions", version, 201)
    return fake


def unpack(request: httpx.Request) -> dict[str, bytes]:
    assert request.headers["Content-Type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(request.content)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}


def pushed(client, server, model, **options):
    """Pushes and gives the manifest's text, an ONNX Runtime session and the reference."""
    client.push(model, name="m", **options)
    files = unpack(server.requests[-1])
    reference = pq.read_table(io.BytesIO(files["reference.parquet"])) if "reference.parquet" in files else None
    return files["fairlead.yaml"].decode(), rt.InferenceSession(files["model.onnx"]), reference


def inputs(session):
    return {i.name: (i.type, i.shape[1]) for i in session.get_inputs()}


def test_numbers_are_one_input(client, server, df):
    model = LogisticRegression().fit(df[["distance", "hour"]], df["late"])
    manifest, session, reference = pushed(
        client, server, model, reference=df[["at", "hour", "late", "distance"]], label="late", time="at"
    )
    assert manifest == (
        'name: "m"\n'
        'model: "model.onnx"\n'
        "inputs:\n"
        '  - {"name": "features", "features": ["distance", "hour"]}\n'
        "outputs:\n"
        '  - {"name": "probability", "role": "score", "classes": ["false", "true"]}\n'
        '  - {"name": "predicted_label", "role": "label"}\n'
        'task: "binary"\n'
        'label: {"name": "late"}\n'
        'reference: {"file": "reference.parquet", "time": "at"}\n'
    )
    assert inputs(session) == {"features": ("tensor(float)", 2)}
    x = df[["distance", "hour"]].to_numpy(np.float32)
    (p,) = session.run(["probability"], {"features": x})
    want = model.predict_proba(df[["distance", "hour"]])
    assert p == pytest.approx(want, abs=1e-5)
    assert reference.column_names == ["distance", "hour", "late", "at", "probability", "predicted_label"]
    assert reference["probability"].to_numpy() == pytest.approx(want[:, 1])
    assert str(reference.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert str(reference.schema.field("late").type) == "bool"
    assert reference.schema.metadata is None


CATEGORIES = {
    "by name": ColumnTransformer([("n", StandardScaler(), ["distance", "hour"]), ("c", OneHotEncoder(), ["origin"])]),
    "by kind": ColumnTransformer(
        [
            ("n", StandardScaler(), make_column_selector(dtype_include="number")),
            ("c", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        ]
    ),
    "passed through": ColumnTransformer(
        [("c", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["origin"])],
        remainder="passthrough",
    ),
    "number as category": ColumnTransformer(
        [("c", OneHotEncoder(handle_unknown="ignore"), ["hour", "origin"])], remainder="drop"
    ),
    "imputed": ColumnTransformer([("n", SimpleImputer(), ["distance", "hour"]), ("c", OneHotEncoder(), ["origin"])]),
}


@pytest.mark.parametrize("how", CATEGORIES)
def test_strings_are_inputs_of_their_own(client, server, df, how):
    features = ["distance", "hour", "origin"]
    model = make_pipeline(CATEGORIES[how], LogisticRegression()).fit(df[features], df["late"].astype(int))
    manifest, session, reference = pushed(client, server, model, reference=df.drop(columns="at"), label="late")
    assert '- {"name": "features", "features": ["distance", "hour"]}' in manifest
    assert '"classes": ["0", "1"]' in manifest
    assert inputs(session) == {"features": ("tensor(float)", 2), "origin": ("tensor(string)", 1)}
    feed = {"features": df[["distance", "hour"]].to_numpy(np.float32), "origin": df[["origin"]].to_numpy(object)}
    (p,) = session.run(["probability"], feed)
    assert p == pytest.approx(model.predict_proba(df[features]), abs=1e-5)
    assert reference["origin"].to_pylist() == df["origin"].tolist()


def test_only_strings(client, server, df):
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(df[["origin"]], df["late"])
    manifest, session, _ = pushed(client, server, model, reference=df[["origin"]])
    assert inputs(session) == {"origin": ("tensor(string)", 1)}
    assert "inputs" not in manifest


def test_the_model_and_the_frame_stay_as_they_were(client, server, df):
    before = df.copy()
    model = xgboost.XGBClassifier(n_estimators=3).fit(df[["distance", "hour"]], df["late"])
    client.push(model, name="m", reference=df, label="late", time="at", features=["distance", "hour"])
    assert model.get_booster().feature_names == ["distance", "hour"]
    pd.testing.assert_frame_equal(df, before)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "hist", "forest"])
@pytest.mark.parametrize("piped", [False, True])
def test_trees(client, server, df, kind, piped):
    last = {
        "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=5, verbose=-1),
        "xgboost": lambda: xgboost.XGBClassifier(n_estimators=5),
        "hist": lambda: HistGradientBoostingClassifier(max_iter=5),
        "forest": lambda: RandomForestClassifier(5, random_state=0),
    }[kind]()
    features = ["distance", "hour", "origin"] if piped else ["distance", "hour"]
    encode = ColumnTransformer([("c", OrdinalEncoder(), ["origin"])], remainder="passthrough")
    model = (make_pipeline(encode, last) if piped else last).fit(df[features], df["late"].astype(int))
    _, session, reference = pushed(client, server, model, reference=df[features])
    feed = {"features": df[["distance", "hour"]].to_numpy(np.float32)}
    if piped:
        feed["origin"] = df[["origin"]].to_numpy(object)
    (p,) = session.run(["probability"], feed)
    gap = np.abs(p[:, 1] - model.predict_proba(df[features])[:, 1])
    assert np.quantile(gap, 0.99) < 1e-4
    assert reference["probability"].to_numpy() == pytest.approx(model.predict_proba(df[features])[:, 1])


def test_several_classes_of_strings(client, server, df):
    y = np.select([df["distance"] > 0.5, df["distance"] < -0.5], ["far", "near"], "mid")
    model = LogisticRegression().fit(df[["distance", "hour"]], y)
    manifest, session, reference = pushed(client, server, model, reference=df[["distance", "hour"]])
    assert '"classes": ["far", "mid", "near"]' in manifest and 'task: "multiclass"' in manifest
    assert reference.column_names[2:] == ["probability.far", "probability.mid", "probability.near", "predicted_label"]
    assert [o.name for o in session.get_outputs()] == ["predicted_label", "probability"]


def test_regression(client, server, df):
    model = LinearRegression().fit(df[["distance", "hour"]], df["distance"] * 2)
    manifest, session, reference = pushed(client, server, model, reference=df[["distance", "hour"]])
    assert '- {"name": "prediction", "role": "value"}' in manifest and 'task: "regression"' in manifest
    (y,) = session.run(["prediction"], {"features": df[["distance", "hour"]].to_numpy(np.float32)})
    assert y.ravel() == pytest.approx(reference["prediction"].to_numpy(), abs=1e-4)


def test_output_names_keep_clear_of_features(client, server, df):
    frame = df[["distance", "hour"]].set_axis(["probability", "predicted_label"], axis=1)
    model = LogisticRegression().fit(frame, df["late"])
    _, session, reference = pushed(client, server, model, reference=frame)
    assert [o.name for o in session.get_outputs()] == ["predicted_label_", "probability_"]
    assert reference.column_names == ["probability", "predicted_label", "probability_", "predicted_label_"]


def test_a_feature_called_like_something_inside_the_graph(client, server, df):
    frame = df[["distance", "hour", "origin"]].set_axis(["label", "probabilities", "features"], axis=1)
    encode = ColumnTransformer([("c", OneHotEncoder(), ["features"])], remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(frame, df["late"])
    _, session, _ = pushed(client, server, model, reference=frame)
    assert inputs(session) == {"features_": ("tensor(float)", 2), "features": ("tensor(string)", 1)}


def test_trained_on_an_array(client, server, df):
    model = LogisticRegression().fit(df[["distance", "hour"]].to_numpy(), df["late"])
    manifest, _, reference = pushed(client, server, model, features=["d", "h"])
    assert '"features": ["d", "h"]' in manifest and reference is None and "reference" not in manifest


def test_odd_columns_of_a_reference(client, server, df):
    frame = pd.DataFrame(
        {
            "distance": df["distance"].astype("float32"),
            "holiday": pd.array([True, False, None] * 100, dtype="boolean"),
            "origin": df["origin"].astype("category"),
        }
    )
    encode = ColumnTransformer([("n", SimpleImputer(), ["distance", "holiday"]), ("c", OneHotEncoder(), ["origin"])])
    model = make_pipeline(encode, LogisticRegression()).fit(frame.astype({"holiday": "float"}), df["late"])
    _, _, reference = pushed(client, server, model, reference=frame.astype({"holiday": "Float64"}))
    assert [str(f.type) for f in reference.schema][:3] == ["float", "double", "string"]
    assert reference["holiday"].null_count == 100


def query(request: httpx.Request) -> dict[str, list[str]]:
    return {k: request.url.params.get_list(k) for k in request.url.params}


def test_tests_travel_with_the_model(client, server, df):
    model = LogisticRegression().fit(df[["distance", "hour"]], df["late"])
    tests = [{"metric": "auroc", "at_least": 0.7, "by": ["hour"]}, {"batch": True}]
    manifest, _, _ = pushed(client, server, model, reference=df, label="late", time="at", tests=tests, test=True)
    assert 'tests:\n  - {"metric": "auroc", "at_least": 0.7, "by": ["hour"]}\n  - {"batch": true}\n' in manifest
    assert query(server.requests[-1]) == {"test": ["true"]}


@pytest.mark.parametrize(
    ("rollout", "sent"),
    [
        (False, {}),
        (True, {"rollout": ["true"]}),
        ("stages: [5%, 100%]", {"rollout": ["true"], "policy": ["stages: [5%, 100%]"]}),
        ({"stages": ["5%", "100%"]}, {"rollout": ["true"], "policy": ['{"stages": ["5%", "100%"]}']}),
    ],
)
def test_rollout(client, server, df, rollout, sent):
    model = LogisticRegression().fit(df[["distance", "hour"]], df["late"])
    client.push(model, name="m", reference=df[["distance", "hour"]], rollout=rollout)
    assert query(server.requests[-1]) == sent


def test_lineage(client, server, df):
    model = LogisticRegression().fit(df[["distance", "hour"]], df["late"])
    client.push(
        model, name="m", reference=df[["distance", "hour"]], trained_on=["2001-01", "2001-02"],
        quantized_from="m@3", distilled_from="big:champion",
    )  # fmt: skip
    want = {"trained_on": ["2001-01", "2001-02"], "quantized_from": ["m@3"], "distilled_from": ["big:champion"]}
    assert query(server.requests[-1]) == want


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tests": "auroc"}, "tests must be a list of dicts, got 'auroc'"),
        ({"tests": {"metric": "auroc"}}, "tests must be a list of dicts"),
        ({"tests": [1]}, "tests must be a list of dicts"),
        ({"rollout": ""}, "rollout must be True, or a policy"),
        ({"rollout": 5}, "rollout must be True, or a policy as a dict or as YAML, got 5"),
    ],
)
def test_slips_in_tests_and_rollout(client, server, df, options, says):
    model = LogisticRegression().fit(df[["distance", "hour"]], df["late"])
    with pytest.raises(fairlead.FairleadError, match=says):
        client.push(model, name="m", reference=df[["distance", "hour"]], **options)
    assert not server.requests


def test_equal_content_gives_equal_bytes(client, server, df):
    model = LogisticRegression().fit(df[["distance", "hour"]], df["late"])
    for _ in range(2):
        client.push(model, name="m", reference=df[["distance", "hour"]])
    a, b = server.requests
    assert a.content == b.content


def test_the_version(client, server, df):
    server.answer(
        "POST",
        "/api/v1/models/m/versions",
        {"model": "m", "version": 2, "digest": "sha256:1", "created": "2026-01-02T03:04:05Z", "size_bytes": 1, "task": "none",
         "inputs": [], "outputs": [], "deployment": "m", "existing": True, "notes": ["no reference"]},
    )  # fmt: skip
    with pytest.warns(fairlead.FairleadWarning, match="m@2: no reference"):
        v = client.push(b"onnx", name="m", alias="champion")
    assert (v.version, v.existing, v.deployment, v.notes) == (2, True, "m", ["no reference"])
    assert v.created == pd.Timestamp("2026-01-02T03:04:05Z")
    assert dict(server.requests[0].url.params) == {"alias": "champion"}
    assert server.requests[0].headers["Content-Type"] == "application/octet-stream"
    assert server.requests[0].content == b"onnx"


@pytest.fixture(scope="module")
def graph():
    """y = softmax-like pair from x of width 3, with a string input beside it."""
    h = onnx.helper
    x = h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3])
    s = h.make_tensor_value_info("carrier", onnx.TensorProto.STRING, ["n", 1])
    y = h.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])
    z = h.make_tensor_value_info("z", onnx.TensorProto.STRING, ["n", 1])
    nodes = [h.make_node("Softmax", ["x"], ["y"], axis=1), h.make_node("Identity", ["carrier"], ["z"])]
    return h.make_model(h.make_graph(nodes, "g", [x, s], [y, z]), opset_imports=[h.make_opsetid("", 15)])


def test_onnx_files(client, server, graph, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    for model in (path, str(path), graph, graph.SerializeToString()):
        client.push(model, name="m")
        assert server.requests[-1].content == path.read_bytes()
        assert server.requests[-1].headers["Content-Type"] == "application/octet-stream"


def test_an_onnx_file_with_names(client, server, graph):
    frame = pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0], "carrier": ["AA"], "truth": ["p"]})
    manifest, _, reference = pushed(
        client, server, graph, reference=frame, features=["a", "b", "carrier", "c"], classes=["p", "q", "r"], task="multiclass",
        label={"name": "truth", "delay": "24h"},
    )  # fmt: skip
    assert '- {"name": "x", "features": ["a", "b", "c"]}' in manifest
    assert '- {"name": "y", "role": "score", "classes": ["p", "q", "r"]}' in manifest
    assert 'label: {"name": "truth", "delay": "24h"}' in manifest
    assert reference.column_names == list(frame.columns)
    manifest, _, _ = pushed(client, server, graph, features={"x": ["a", "b", "c"]})
    assert '- {"name": "x", "features": ["a", "b", "c"]}' in manifest


def test_a_reference_from_a_file(client, server, graph, tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "at": ["2001-01-01T00:00:00Z", "2001-01-02T00:00:00Z"]})
    frame.to_csv(tmp_path / "r.csv", index=False)
    frame.to_parquet(tmp_path / "r.parquet")
    for name in ("r.csv", "r.parquet"):
        manifest, _, reference = pushed(client, server, graph, reference=tmp_path / name, time="at")
        assert 'reference: {"file": "reference.parquet", "time": "at"}' in manifest
        assert str(reference.schema.field("at").type) == "timestamp[us, tz=UTC]"


def test_a_bundle_folder(client, server, tmp_path):
    (tmp_path / "fairlead.yaml").write_text("# ours\nname: m  # the name\nmodel: graphs/model.onnx\n")
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "model.onnx").write_bytes(b"onnx")
    (tmp_path / ".secret").write_text("stays here")
    client.push(tmp_path)
    assert set(unpack(server.requests[-1])) == {"fairlead.yaml", "graphs/model.onnx"}
    with pytest.raises(fairlead.FairleadError, match=r"a bundle folder says task itself.*fairlead.yaml"):
        client.push(tmp_path, task="binary")


def test_a_graph_that_answers_otherwise_is_noticed(client, server, df, monkeypatch):
    model = LogisticRegression().fit(df[["distance", "hour"]], df["late"])
    true = LogisticRegression.predict_proba
    monkeypatch.setattr(LogisticRegression, "predict_proba", lambda self, x: 1 - true(self, x))
    with pytest.warns(fairlead.FairleadWarning, match="differ on 200 of 200 reference rows"):
        client.push(model, name="m", reference=df[["distance", "hour"]])


def fitted(df, **kw):
    return LogisticRegression(**kw).fit(df[["distance", "hour"]], df["late"])


REFUSED = {
    "no name": (lambda df: (fitted(df), {"name": None}), "a model needs a name"),
    "bad name": (lambda df: (fitted(df), {"name": "My Model"}), "'My Model' is not a name"),
    "not fitted": (lambda df: (LogisticRegression(), {}), "not fitted.*fit"),
    "a class": (lambda df: (LogisticRegression, {}), "that is a class"),
    "a list": (lambda df: ([1], {}), "cannot push a builtins.list.*push an .onnx file"),
    "no such file": (lambda df: ("/nowhere/model.onnx", {}), "there is no file or folder"),
    "no names": (
        lambda df: (LogisticRegression().fit(df[["hour"]].to_numpy(), df["late"]), {}),
        "names of the model's 1 features",
    ),
    "too many columns": (
        lambda df: (
            LogisticRegression().fit(df[["hour"]].to_numpy(), df["late"]),
            {"reference": df[["hour", "distance"]]},
        ),
        "trained on 1 features, 2 were given",
    ),
    "missing column": (
        lambda df: (fitted(df), {"reference": df[["hour"]]}),
        r"lacks columns that the model takes: \['distance'\]",
    ),
    "other features": (
        lambda df: (fitted(df), {"features": ["hour", "distance"]}),
        r"was trained on \['distance', 'hour'\]",
    ),
    "features as text": (lambda df: (fitted(df), {"features": "hour"}), "must be a list of names"),
    "classes": (lambda df: (fitted(df), {"classes": ["a", "b", "c"]}), r"the model has 2 classes, \['false', 'true'\]"),
    "task": (lambda df: (fitted(df), {"task": "ranking"}), "task 'ranking' is not known"),
    "time": (lambda df: (fitted(df), {"reference": df, "time": "when"}), "names no column of the reference"),
    "label": (lambda df: (fitted(df), {"label": {"column": "late"}}), "label must be a name"),
    "empty reference": (lambda df: (b"x", {"reference": df.head(0)}), "no rows"),
    "reference kind": (lambda df: (fitted(df), {"reference": [1]}), "must be a DataFrame or a path"),
    "reference file": (lambda df: (fitted(df), {"reference": "/nowhere.csv"}), "there is no file"),
    "broken onnx": (lambda df: (b"nonsense", {"features": ["a"]}), "not an ONNX model"),
    "mixed column": (
        lambda df: (b"x", {"reference": pd.DataFrame({"a": [1, "x"]})}),
        "column 'a' of the reference mixes",
    ),
    "own transformer": (
        lambda df: (
            make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(df[["hour"]], df["late"]),
            {},
        ),
        "skl2onnx cannot convert this Pipeline",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(client, server, df, case):
    make, says = REFUSED[case]
    model, options = make(df)
    with pytest.raises(fairlead.FairleadError, match=re.compile(says, re.S)):
        client.push(model, **{"name": "m", **options})
    assert not server.requests


@pytest.mark.parametrize(
    ("features", "classes", "says"),
    [
        (["a", "b"], None, "input 'x' has 3 columns, 2 features were given"),
        (None, ["p", "q"], "0 outputs of the graph could hold a score for each of the 2 classes"),
    ],
)
def test_an_onnx_file_that_does_not_fit(client, server, graph, features, classes, says):
    with pytest.raises(fairlead.FairleadError, match=says):
        client.push(graph, name="m", features=features, classes=classes)


def test_pandas_categories_inside_lightgbm(client, server, df):
    x = df[["distance", "origin"]].astype({"origin": "category"})
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(x, df["late"])
    with pytest.raises(fairlead.FairleadError, match=r"pandas categories.*encode them in a pipeline"):
        client.push(model, name="m", reference=x)
    with pytest.raises(fairlead.FairleadError, match="scikit-learn interface"):
        client.push(model.booster_, name="m")


def test_scores_that_are_no_probabilities(client, server, df):
    manifest, _, _ = pushed(
        client, server, LinearSVC().fit(df[["distance", "hour"]], df["late"]), reference=df[["distance", "hour"]]
    )
    assert '"name": "score", "role": "score"' in manifest and 'task: "none"' in manifest


def test_no_classes_at_all(client, server, df):
    manifest, session, _ = pushed(
        client, server, KMeans(3, n_init=1).fit(df[["distance", "hour"]]), reference=df[["distance", "hour"]]
    )
    assert 'task: "none"' in manifest and "outputs" not in manifest
    assert len(session.get_outputs()) == 2
