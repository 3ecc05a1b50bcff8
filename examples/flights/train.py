"""Train the flights model and write the bundle folder.

    python train.py flights-3m.parquet [bundle]

The flights are the US domestic on-time flights of January to June 2001: columns date (departure, local time, to the
minute), delay (minutes late on arrival), distance (miles), origin, destination. The model gives the probability that
a flight which leaves the gate now arrives more than 15 minutes late. The same input gives the same bytes.
"""

import argparse
import pathlib

import lightgbm as lgb
import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from graph import build

FEATURES = ["hour", "weekday", "distance", "departures"]
LATE = 15  # minutes
DELAYS = (-120, 1200)  # a recorded delay outside [low, high) is a date error, not an outcome
REFERENCE_ROWS = 150_000
SEED = 2001
SMOOTHING = 100  # flights at the mean rate added to every airport's own
TREES = 150
PARAMS = {
    "objective": "binary",
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 200,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": SEED,
    "verbose": -1,
}


def read(path):
    """The flights in order of time, as columns; minute counts from 1970-01-01 00:00."""
    t = pq.read_table(path, columns=["date", "delay", "distance", "origin", "destination"])
    minute = pc.cast(t["date"], pa.timestamp("us")).to_numpy().astype("datetime64[m]").astype(np.int64)
    assert (np.diff(minute) >= 0).all(), "the flights are not in order of time"
    return {
        "minute": minute,
        "delay": t["delay"].to_numpy(),
        "distance": t["distance"].to_numpy(),
        "origin": t["origin"].to_numpy(zero_copy_only=False).astype("U8"),
        "destination": t["destination"].to_numpy(zero_copy_only=False).astype("U8"),
    }


def departures(minute, origin):
    """Per flight, the departures from its origin in the 60 minutes before the minute in which it leaves."""
    out = np.zeros(len(minute), np.float32)
    _, code = np.unique(origin, return_inverse=True)
    order = np.argsort(code, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(code))[:-1]):
        m = minute[rows]
        out[rows] = np.searchsorted(m, m) - np.searchsorted(m, m - 60)
    return out


def features(f):
    """The numeric features in the order of FEATURES, float32 [n, 4]. Weekday 0 is Monday."""
    days = f["minute"] // 1440
    return np.column_stack(
        [f["minute"] // 60 % 24, (days + 3) % 7, f["distance"], departures(f["minute"], f["origin"])]
    ).astype(np.float32)


def late_rates(airports, late):
    """Airport → share of late flights, shrunk to the mean; and that mean, for airports never seen."""
    mean = late.mean()
    names, code = np.unique(airports, return_inverse=True)
    n, k = np.bincount(code), np.bincount(code, weights=late)
    rates = ((k + SMOOTHING * mean) / (n + SMOOTHING)).astype(np.float32)
    return dict(zip(names.tolist(), rates.tolist())), float(np.float32(mean))


def encode(airports, rates, default):
    names, code = np.unique(airports, return_inverse=True)
    return np.array([rates.get(a, default) for a in names.tolist()], np.float32)[code]


class Model:
    """Target statistics and trees, fitted on the rows of a mask."""

    def __init__(self, f, x, late, rows):
        self.origin = late_rates(f["origin"][rows], late[rows])
        self.destination = late_rates(f["destination"][rows], late[rows])
        data = lgb.Dataset(self.columns(f, x, rows), late[rows])
        self.booster = lgb.train(PARAMS, data, TREES)

    def columns(self, f, x, rows):
        o = encode(f["origin"][rows], *self.origin)
        d = encode(f["destination"][rows], *self.destination)
        return np.column_stack([x[rows], o, d])

    def predict(self, f, x, rows):
        return self.booster.predict(self.columns(f, x, rows), num_threads=1)

    def onnx(self):
        return build(FEATURES, self.origin, self.destination, self.booster.dump_model()["tree_info"])


def report(name, late, p):
    print(
        f"| {name} | {len(p):,} | {late.mean():.3f} | {p.mean():.3f} | {roc_auc_score(late, p):.4f} "
        f"| {log_loss(late, p):.4f} | {brier_score_loss(late, p):.4f} |"
    )


def serve(model, f, x, rows):
    """What ONNX Runtime answers for those rows."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {
        "features": x[rows],
        "origin": f["origin"][rows].astype(object)[:, None],
        "destination": f["destination"][rows].astype(object)[:, None],
    }
    return session.run(["probability"], feed)[0][:, 0]


def write_reference(path, f, x, late, p, rows):
    """The held-out sample with features, the model's answer, the outcome and the event time."""
    columns = {
        "time": pa.array(f["minute"][rows].astype("datetime64[m]").astype("datetime64[ms]")),
        **{name: pa.array(x[rows, i].astype(np.int32)) for i, name in enumerate(FEATURES)},
        "origin": pa.array(f["origin"][rows]).dictionary_encode().cast(pa.string()),
        "destination": pa.array(f["destination"][rows]).dictionary_encode().cast(pa.string()),
        "probability": pa.array(p),
        "late": pa.array(np.where(late[rows], "late", "on_time")),
    }
    table = pa.table(columns).replace_schema_metadata(None)
    plain = ["probability"]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        row_group_size=len(rows),
        data_page_size=1 << 20,
        use_dictionary=[c for c in table.column_names if c not in plain],
        column_encoding={c: "BYTE_STREAM_SPLIT" for c in plain},
        store_schema=False,
    )


def fit(f, x, late, usable):
    """The shipped model and the rows kept out of its training, after an honest look at how well it does."""
    month = f["minute"].astype("datetime64[m]").astype("datetime64[M]").astype(int) % 12 + 1
    day = f["minute"] // 1440 - f["minute"][0] // 1440
    jan_feb = usable & (month <= 2)

    print("| rows | n | late | mean probability | AUROC | log loss | Brier |\n|---|---|---|---|---|---|---|")
    early, then = np.flatnonzero(jan_feb & (day < 45)), np.flatnonzero(jan_feb & (day >= 45))
    report("15–28 Feb, fitted on 1 Jan – 14 Feb", late[then], Model(f, x, late, early).predict(f, x, then))

    pool = np.flatnonzero(jan_feb)
    held = np.sort(np.random.default_rng(SEED).choice(pool, REFERENCE_ROWS, replace=False))
    model = Model(f, x, late, np.setdiff1d(pool, held))
    report("reference (Jan–Feb, held out)", late[held], model.predict(f, x, held))
    for m, name in enumerate(["March", "April", "May", "June"], 3):
        rows = np.flatnonzero(usable & (month == m))
        report(name, late[rows], model.predict(f, x, rows))
    return model, held


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("flights", type=pathlib.Path)
    parser.add_argument("bundle", type=pathlib.Path, nargs="?", default=pathlib.Path(__file__).parent / "bundle")
    args = parser.parse_args()

    f = read(args.flights)
    usable = (f["delay"] >= DELAYS[0]) & (f["delay"] < DELAYS[1])
    print(f"{len(usable):,} flights, {(~usable).sum()} with an impossible delay left out")
    # July 1st 00:00 has six stray rows.
    usable &= f["minute"] < np.datetime64("2001-07-01T00:00", "m").astype(np.int64)
    x, late = features(f), (f["delay"] > LATE).astype(np.int8)

    model, held = fit(f, x, late, usable)
    graph = model.onnx()
    check = np.random.default_rng(SEED).choice(np.flatnonzero(usable), 10_000, replace=False)
    gap = np.abs(serve(graph, f, x, check) - model.predict(f, x, check)).max()
    print(f"ONNX Runtime {ort.__version__} and LightGBM on 10,000 rows: largest difference {gap:.1e}")
    assert gap < 1e-6, "the graph does not compute what was trained"

    args.bundle.mkdir(exist_ok=True)
    (args.bundle / "model.onnx").write_bytes(graph)
    write_reference(args.bundle / "reference.parquet", f, x, late, serve(graph, f, x, held), held)
    for p in sorted(args.bundle.iterdir()):
        print(f"{p.name}: {p.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
