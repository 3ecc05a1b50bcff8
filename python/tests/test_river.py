"""The real server: what goes in by push, predict and label comes out of drift, metrics and SQL."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fairlead
from fairlead import bundle
from fairlead.package import about, package

BIN = Path(os.environ.get("FAIRLEAD_BIN") or Path(__file__).parents[2] / "bin" / "fairlead")
# With FAIRLEAD_BIN set a missing binary is a failure, not a reason to skip.
pytestmark = pytest.mark.skipif(
    "FAIRLEAD_BIN" not in os.environ and not BIN.exists(),
    reason=f"no server at {BIN}: run `make build`, or set FAIRLEAD_BIN",
)


DEADLINE = 60.0  # seconds for rows to reach the evaluation store and its findings
FEATURES = ["distance", "dep_hour"]
PER_DAY = 600


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert BIN.is_file(), f"no server at {BIN}: run `make build`"
    data = tmp_path_factory.mktemp("fairlead")
    http, grpc = free_ports(2)
    log = (data / "log.txt").open("w+")
    args = [str(BIN.resolve()), "serve", "--data", str(data / "data"), "--max-lag", "0"]
    args += ["--http", f"127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}"]
    process = subprocess.Popen(args, stdout=log, stderr=subprocess.STDOUT, cwd=data)

    def said() -> str:
        log.flush()
        return (data / "log.txt").read_text()[-4000:]

    try:
        address = f"http://127.0.0.1:{http}"
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None, f"the server stopped with {process.returncode}:\n{said()}"
            try:
                if httpx.get(address + "/healthz", trust_env=False, timeout=2).is_success:
                    break
            except httpx.HTTPError:
                pass
            assert time.monotonic() < end, f"the server is not healthy after 60 s:\n{said()}"
            time.sleep(0.1)
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, f"not a clean stop:\n{said()}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[fairlead.Client]:
    with fairlead.Client(server) as c:
        yield c


def eventually(read: Callable[[], Any], good: Callable[[Any], bool], what: str) -> Any:
    """What read returns, once it is good."""
    end = time.monotonic() + DEADLINE
    while not good(value := read()):
        assert time.monotonic() < end, f"{what} did not happen in {DEADLINE:.0f} s; last:\n{value}"
        time.sleep(0.25)
    return value


def make_flights(n: int, start: str, seed: int) -> pd.DataFrame:
    """n flights evenly over days of PER_DAY, late with a probability that follows distance and hour."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "scheduled": pd.Timestamp(start, tz="UTC") + pd.to_timedelta(np.arange(n) * 86400 / PER_DAY, unit="s"),
            "distance": rng.gamma(3.0, 300.0, n),
            "dep_hour": rng.integers(5, 24, n),
            "origin": rng.choice(["ATL", "JFK", "ORD"], n, p=[0.5, 0.3, 0.2]),
        }
    )
    logit = -3.0 + 0.0015 * frame["distance"] + 0.08 * frame["dep_hour"]
    frame["late"] = rng.random(n) < 1 / (1 + np.exp(-logit))
    return frame


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    return make_flights(5000, "2001-01-01", seed=1)


@pytest.fixture(scope="module")
def model(train: pd.DataFrame) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(train[FEATURES], train["late"])


@pytest.fixture(scope="module")
def version(client: fairlead.Client, model: Any, train: pd.DataFrame) -> fairlead.ModelVersion:
    return client.push(model, name="trips", reference=train[[*FEATURES, "late"]], label="late", alias="champion")


@pytest.fixture(scope="module")
def live() -> pd.DataFrame:
    """Two days; on the second, distances come in kilometres."""
    frame = make_flights(2 * PER_DAY, "2001-03-01", seed=2)
    frame.loc[frame["scheduled"].dt.day == 2, "distance"] *= 1.609
    return frame.set_index(np.arange(len(frame)) + 100)


@pytest.fixture(scope="module")
def predictions(client: fairlead.Client, version: fairlead.ModelVersion, live: pd.DataFrame) -> pd.DataFrame:
    return client.predict(
        "trips", live[[*FEATURES, "scheduled"]], times="scheduled", tags={"run": "river"}, batch_size=250
    )


@pytest.fixture(scope="module")
def labelled(client: fairlead.Client, predictions: pd.DataFrame, live: pd.DataFrame) -> int:
    return client.label("trips", predictions, values=live["late"], times=live["scheduled"] + pd.Timedelta(hours=3))


def test_push(client, version, train, model):
    assert (version.model, version.version, version.existing, version.deployment) == ("trips", 1, False, "trips")
    assert version.digest.startswith("sha256:") and version.task == "binary" and version.label == "late"
    assert version.reference["rows"] == len(train)
    assert [i["features"] for i in version.inputs] == [FEATURES]
    models = client.models().set_index("name")
    assert models.loc["trips", "aliases"] == ["champion"] and models.loc["trips", "digest"] == version.digest
    again = client.push(model, name="trips", reference=train[[*FEATURES, "late"]], label="late")
    assert again.existing and again.version == 1 and again.digest == version.digest


def test_predict(predictions, live, model):
    assert list(predictions.index) == list(live.index)
    assert predictions["prediction_id"].is_unique
    assert predictions["probability"].to_numpy() == pytest.approx(model.predict_proba(live[FEATURES])[:, 1], abs=1e-5)


def test_rows_are_stored_once(client, predictions, live, version):
    # The table rows."trips" is made when its first row comes; the view over all deployments is always there.
    count = "SELECT count(*) AS n, count(DISTINCT prediction_id) AS ids FROM predictions WHERE deployment = 'trips'"
    got = eventually(lambda: client.sql(count), lambda t: t["n"][0] >= len(live), "storing every row")
    assert got.loc[0].tolist() == [len(live), len(live)]
    rows = client.sql('SELECT * FROM rows."trips" ORDER BY event_time')
    assert set(rows["prediction_id"]) == set(predictions["prediction_id"])
    assert str(rows["event_time"].dt.tz) == "UTC"
    assert rows["event_time"].tolist() == live["scheduled"].dt.round("us").tolist()
    assert rows["distance"].to_numpy() == pytest.approx(live["distance"].to_numpy(), rel=1e-6)
    assert rows["version"].eq(version.version).all()
    assert len(rows) == len(live)


def test_drift(client, predictions, live):
    def complete(d: pd.DataFrame) -> bool:
        one = d[d["column"] == "distance"]
        return dict(zip(one["window"].dt.day, one["n"], strict=True)) == {1: PER_DAY, 2: PER_DAY}

    d = eventually(lambda: client.drift("trips", grain="day"), complete, "counting both days")
    cells = d.set_index([d["window"].dt.day, "column"])
    assert set(d["column"]) >= {"distance", "dep_hour", "probability"}
    assert cells.loc[(1, "distance"), "verdict"] != "drifted" and cells.loc[(1, "dep_hour"), "verdict"] != "drifted"
    bad = cells.loc[(2, "distance")]
    assert bad["verdict"] == "drifted" and bad["psi"] > bad["psi_floor"] and bad["ks"] > bad["ks_floor"]
    assert cells.loc[(2, "dep_hour"), "verdict"] != "drifted"
    assert bool(cells.loc[(2, "probability"), "output"]) and not bool(bad["output"])
    assert bad["m"] == 5000
    assert client.drift("trips", grain="hour")["window"].nunique() >= 24


def test_metrics_follow_the_labels(client, predictions, live, labelled):
    assert labelled == len(live)

    def complete(m: pd.DataFrame) -> bool:
        return len(m) == 2 and m["labelled"].tolist() == [PER_DAY, PER_DAY]

    m = eventually(lambda: client.metrics("trips", grain="day"), complete, "joining every label")
    for day, row in m.set_index(m["window"].dt.day).iterrows():
        of_day = live["scheduled"].dt.day == day
        truth, score = live.loc[of_day, "late"], predictions.loc[of_day, "probability"]
        assert row["n"] == PER_DAY
        assert row["accuracy"] == pytest.approx(((score >= 0.5) == truth).mean(), abs=1e-9)
        assert row["auroc"] == pytest.approx(roc_auc_score(truth, score), abs=1e-5)
        assert row["brier"] == pytest.approx(brier_score_loss(truth, score), abs=1e-5)
        assert row["log_loss"] == pytest.approx(log_loss(truth, score), abs=1e-4)
        assert row["positive_rate"] == pytest.approx(truth.mean(), abs=1e-9)


def test_a_corrected_label_counts_once(client, predictions, live, labelled):
    one = predictions["prediction_id"].iloc[0]
    assert client.label("trips", one, not live["late"].iloc[0]) == 1
    wanted = "0" if live["late"].iloc[0] else "1"  # booleans are stored as numbers
    read = f"SELECT * FROM outcomes WHERE prediction_id = '{one}'"
    got = eventually(lambda: client.sql(read), lambda t: t["label"].tolist() == [wanted], "the correction")
    assert len(got) == 1
    assert client.label("trips", one, live["late"].iloc[0]) == 1


def test_deployments(client, labelled, live):
    def stored() -> pd.Series:
        return client.deployments().set_index("name").loc["trips"]

    d = eventually(stored, lambda d: d["labelled"] >= len(live), "counting labels")
    assert (d["model"], d["version"], d["state"], d["rows"]) == ("trips", 1, "ready", len(live))
    assert d["from"].date().isoformat() == "2001-03-01" and d["to"].date().isoformat() == "2001-03-02"
    assert isinstance(client.alerts("trips"), pd.DataFrame)


def test_strings_and_missing_values(client, train):
    features = ["distance", "dep_hour", "origin"]
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encode = ColumnTransformer([("n", numbers, FEATURES), ("c", OneHotEncoder(handle_unknown="ignore"), ["origin"])])
    model = make_pipeline(encode, LogisticRegression()).fit(train[features], train["late"])
    v = client.push(model, name="origins", reference=train, label="late", time="scheduled")
    assert v.reference["from"].startswith("2001-01-01")
    asked = pd.DataFrame(
        {"distance": [500.0, np.nan], "dep_hour": [8, 9], "origin": ["JFK", "unheard of"]}, index=["a", "b"]
    )
    out = client.predict("origins", asked)
    assert list(out.index) == ["a", "b"]
    assert out["probability"].to_numpy() == pytest.approx(model.predict_proba(asked)[:, 1], abs=1e-5)


def test_ids_keys_and_tags_of_your_own(client, version):
    out = client.predict("trips", {"distance": 100, "dep_hour": 9}, ids=["mine-1"], keys=["N101"], tags={"gate": "B7"})
    assert out["prediction_id"].tolist() == ["mine-1"]
    read = """SELECT key FROM rows."trips" WHERE prediction_id = 'mine-1'"""
    assert eventually(lambda: client.sql(read), len, "storing the row")["key"].tolist() == ["N101"]


def test_a_bundle_folder(client, train, tmp_path):
    fitted = LogisticRegression().fit(train[FEATURES].to_numpy(np.float32), train["late"].astype(int))
    graph = to_onnx(fitted, train[FEATURES].to_numpy(np.float32)[:1], options={"zipmap": False})
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    train[[*FEATURES, "late"]].to_csv(tmp_path / "reference.csv", index=False)
    (tmp_path / "fairlead.yaml").write_text(
        "name: folder\nmodel: model.onnx\n"
        "inputs:\n  - name: X\n    features: [distance, dep_hour]\n"
        "outputs:\n  - name: probabilities\n    role: score\n    classes: [ok, late]\n"
        "task: binary\nlabel: {name: late, delay: 24h}\nreference: reference.csv\n"
    )
    v = client.push(tmp_path)
    assert (v.model, v.version, v.reference["rows"]) == ("folder", 1, len(train))
    out = client.predict("folder", train[FEATURES].head(3))
    assert out["probabilities"].to_numpy() == pytest.approx(
        fitted.predict_proba(train[FEATURES].head(3).to_numpy())[:, 1], abs=1e-5
    )


def test_functions_of_the_module(server, version, monkeypatch):
    monkeypatch.setenv("FAIRLEAD_SERVER", server)
    out = fairlead.predict("trips", {"distance": 100, "dep_hour": 9}, ids=["mine-2"])
    assert fairlead.label("trips", out, values=[True]) == 1
    assert "trips" in set(fairlead.models()["name"]) & set(fairlead.deployments()["name"])
    assert fairlead.sql("SELECT 1 AS one")["one"].tolist() == [1]
    assert fairlead.drift("trips").attrs["grain"] == "day"
    assert "accuracy" in fairlead.metrics("trips").columns
    assert fairlead.alerts(state="firing") is not None


REFUSED: dict[str, tuple[Callable[[fairlead.Client], Any], str, str]] = {
    "unknown deployment": (lambda c: c.predict("nobody", {"x": 1}), "not_found", "nobody"),
    "unknown feature": (lambda c: c.predict("trips", {"distance": 1, "dep_hour": 2, "moon": 3}), "invalid", "moon"),
    "missing feature": (lambda c: c.predict("trips", {"distance": 1}), "invalid", "dep_hour"),
    "a string for a number": (lambda c: c.predict("trips", {"distance": "far", "dep_hour": 2}), "invalid", "distance"),
    "labels of nobody": (lambda c: c.label("nobody", "a", 1), "not_found", "nobody"),
    "drift of nobody": (lambda c: c.drift("nobody"), "not_found", "nobody"),
    "metrics of nobody": (lambda c: c.metrics("nobody"), "not_found", "nobody"),
    "broken onnx": (lambda c: c.push(b"nonsense", name="broken"), "invalid", "(?i)onnx"),
    "not SQL": (lambda c: c.sql("SELEC 1"), "invalid", "."),
    "SQL that changes things": (lambda c: c.sql("CREATE TABLE t AS SELECT 1"), "invalid", "."),
    "SQL that reads files": (lambda c: c.sql("SELECT * FROM read_text('/etc/hostname')"), "invalid", "."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(client, version, case):
    call, code, says = REFUSED[case]
    with pytest.raises(fairlead.FairleadError, match=says) as e:
        call(client)
    assert e.value.code == code
    assert client.sql("SELECT 1 AS one")["one"].tolist() == [1]  # the server is still there


def test_a_reference_of_something_else(client, train):
    fitted = LogisticRegression().fit(train[FEATURES], train["late"])
    sent = package(fitted, "stranger", about(reference=train[FEATURES]))
    with tarfile.open(fileobj=io.BytesIO(sent.body)) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    files["reference.parquet"] = bundle.parquet(pd.DataFrame({"height": [1.0, 2.0], "weight": [3.0, 4.0]}))
    with pytest.raises(fairlead.FairleadError, match="distance") as e:
        client._http.upload("/api/v1/models/stranger/versions", bundle.pack(files), "application/x-tar")
    assert e.value.code == "invalid"


def test_the_gate(client: fairlead.Client) -> None:
    """A version goes live only with tests that it passes, step by step if that is asked for."""
    flights = make_flights(3000, "2001-01-01", 11)
    model = LogisticRegression().fit(flights[FEATURES], flights["late"])
    says = {"name": "gated", "reference": flights[[*FEATURES, "late"]], "label": "late", "test": True}
    with pytest.raises(fairlead.FairleadError, match=r'fails 1 of its 2 tests: "auroc ≥ 0.99": 0\.\d+ \[') as e:
        client.push(model, tests=[{"metric": "auroc", "at_least": 0.99}, {"batch": True}], **says)
    assert e.value.code == "conflict" and e.value.status == 409
    assert "gated" not in {d["name"] for d in client.deployments().to_dict("records")}
    first = client.push(model, tests=[{"metric": "auroc", "at_least": 0.55}], **says)
    assert (first.version, first.rollout) == (1, None)
    second = client.push(
        model, tests=[{"metric": "auroc", "at_least": 0.56}, {"direction": "dep_hour", "change": {"add": 5}, "expect": "rise"}],
        rollout={"stages": ["10%", "100%"]}, trained_on="2001-01", distilled_from="gated@1", **says,
    )  # fmt: skip
    assert second.version == 2 and second.rollout and second.rollout["to"] == 2
    with pytest.raises(fairlead.FairleadError, match="did you mean"):
        client.push(model, tests=[{"metric": "auroc", "at_leats": 0.5}], **says)
