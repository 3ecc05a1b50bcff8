"""Answers of the server into data frames with proper types."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .errors import FairleadError, FairleadWarning


@dataclass(frozen=True)
class Spec:
    """What is known about the version behind a deployment: data types of features, and what its outputs mean."""

    version: str
    task: str
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any]]
    types: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model_version: Mapping[str, Any]) -> Spec:
        inputs = model_version.get("inputs") or []
        types: dict[str, str] = {}
        for tensor in inputs:
            for name in tensor.get("features") or [tensor["name"]]:
                types[name] = tensor["datatype"]
        outputs = model_version.get("outputs") or []
        return cls(str(model_version["version"]), model_version.get("task") or "none", inputs, outputs, types)


def predictions(answer: Mapping[str, Any], index: pd.Index, spec: Spec | None) -> pd.DataFrame:
    """One batch's answer: prediction_id, then one column for each scalar output.

    A score of two columns of a binary model gives the second (the positive class) under the output's name; wider
    scores give ``output.class`` columns, other vectors ``output.0``, ``output.1`` ….
    """
    rows, ids = answer.get("predictions"), answer.get("ids")
    if not isinstance(rows, list) or not isinstance(ids, list) or len(rows) != len(index) or len(ids) != len(index):
        raise FairleadError(
            f"expected {len(index)} predictions and ids, got {_count(rows)} and {_count(ids)}",
            code="internal",
            hint="is this a fairlead server of the same version?",
        )
    outputs = list(spec.outputs) if spec else []
    columns: dict[str, Any] = {"prediction_id": ids}
    if rows and isinstance(rows[0], Mapping):
        known = {o["name"]: o for o in outputs}
        for name in rows[0]:
            columns.update(_output(name, [row[name] for row in rows], known.get(name), spec))
    else:
        name = outputs[0]["name"] if len(outputs) == 1 else "prediction"
        columns.update(_output(name, rows, outputs[0] if len(outputs) == 1 else None, spec))
    return pd.DataFrame(columns, index=index)


def _output(name: str, cells: list[Any], tensor: Mapping[str, Any] | None, spec: Spec | None) -> dict[str, Any]:
    if not any(isinstance(c, list) for c in cells):
        return {name: cells}
    widths = {len(c) if isinstance(c, list) else -1 for c in cells}
    if len(widths) != 1 or any(isinstance(x, list) for c in cells for x in c):
        return {name: cells}  # ragged or nested: as it came
    (width,) = widths
    if width == 1:
        return {name: [c[0] for c in cells]}
    score = tensor is not None and tensor.get("role") == "score"
    if score and width == 2 and spec is not None and spec.task == "binary":
        return {name: [c[1] for c in cells]}
    classes = (tensor or {}).get("classes") or []
    parts = classes if len(classes) == width else range(width)
    return {f"{name}.{part}": [c[i] for c in cells] for i, part in enumerate(parts)}


def _count(items: Any) -> str:
    return str(len(items)) if isinstance(items, list) else repr(items)


_MEASURES = [
    "psi",
    "psi_debiased",
    "psi_floor",
    "ks",
    "ks_floor",
    "d1",
    "d1_floor",
    "js",
    "js_floor",
    "missing",
    "unseen",
]
_DRIFT = ["window", "column", "kind", "output", "n", "m", "reference", *_MEASURES, "verdict", "provisional"]


def drift(answer: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each window and column that has data; ``attrs`` holds the rule, the version and why it is empty."""
    windows = answer.get("windows") or []
    rows = []
    for column in answer.get("columns") or []:
        for window, cell in zip(windows, column.get("cells") or [], strict=False):
            if cell is not None:
                rows.append(
                    {
                        "window": window,
                        "column": column["name"],
                        "kind": column["kind"],
                        "output": column["output"],
                        **cell,
                    }
                )
    frame = pd.DataFrame(rows, columns=_DRIFT)
    frame["window"] = times(frame["window"])
    frame[_MEASURES] = frame[_MEASURES].astype("float64")
    frame = frame.astype({"n": "int64", "m": "int64", "output": "bool", "provisional": "bool"})
    # Windows in order of time; within one, the columns as the server shows them.
    frame = frame.sort_values("window", kind="stable", ignore_index=True)
    frame.attrs.update({k: answer.get(k) for k in ("deployment", "version", "grain", "rule", "empty")})
    return frame


def metrics(answer: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each window, a column for each metric; ``attrs["reference"]`` holds those of the reference data."""
    names = list(answer.get("names") or [])
    rows = []
    for point in answer.get("points") or []:
        values = {name: (point.get("metrics") or {}).get(name) for name in names}
        rows.append(
            {
                "window": point["start"],
                "n": point["n"],
                "labelled": point["labelled"],
                "provisional": point["provisional"],
                **values,
            }
        )
    frame = pd.DataFrame(rows, columns=["window", "n", "labelled", "provisional", *names])
    frame["window"] = times(frame["window"])
    frame[names] = frame[names].astype("float64")
    frame = frame.astype({"n": "int64", "labelled": "int64", "provisional": "bool"})
    reference = (answer.get("reference") or {}).get("metrics")
    frame.attrs.update(
        {k: answer.get(k) for k in ("deployment", "grain", "task", "label", "empty")}, reference=reference
    )
    return frame


_ALERT = [
    "id",
    "deployment",
    "column",
    "state",
    "measure",
    "value",
    "worst",
    "threshold",
    "floor",
    "n",
    "grain",
    "onset",
    "last",
    "fired",
    "resolved",
    "message",
    "planted",
]


def alerts(answer: Sequence[Mapping[str, Any]] | None) -> pd.DataFrame:
    """One row for each alert."""
    frame = pd.DataFrame([dict(a) for a in answer or []], columns=_ALERT)
    for column in ("onset", "last", "fired", "resolved"):
        frame[column] = times(frame[column])
    for column in ("value", "worst", "threshold", "floor"):
        frame[column] = frame[column].astype("float64")
    return frame.astype({"n": "int64"})


def models(answer: Sequence[Mapping[str, Any]] | None) -> pd.DataFrame:
    """One row for each version of each model, newest first."""
    rows = []
    for model in answer or []:
        aliases = model.get("aliases") or {}
        for v in model.get("versions") or []:
            rows.append(
                {
                    "name": model["name"],
                    "version": v["version"],
                    "digest": v["digest"],
                    "created": v["created"],
                    "size_bytes": v["size_bytes"],
                    "task": v.get("task"),
                    "label": v.get("label"),
                    "reference_rows": (v.get("reference") or {}).get("rows"),
                    "aliases": sorted(a for a, ordinal in aliases.items() if ordinal == v["version"]),
                }
            )
    columns = ["name", "version", "digest", "created", "size_bytes", "task", "label", "reference_rows", "aliases"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["created"] = times(frame["created"])
    return frame.astype({"version": "int64", "size_bytes": "int64", "reference_rows": "Int64"})


def deployments(answer: Sequence[Mapping[str, Any]] | None) -> pd.DataFrame:
    """One row for each deployment, with its traffic of the last ten seconds."""
    live = ["requests_per_second", "rows_per_second", "errors_per_second", "p50_ms", "p95_ms", "p99_ms"]
    columns = [
        "name",
        "model",
        "version",
        "task",
        "state",
        "reason",
        "rows",
        "labelled",
        "from",
        "to",
        "firing",
        "drifted",
        "label",
    ]
    rows = [{**{c: d.get(c) for c in columns}, **{c: (d.get("live") or {}).get(c) for c in live}} for d in answer or []]
    frame = pd.DataFrame(rows, columns=columns + live)
    for column in ("from", "to"):
        frame[column] = times(frame[column])
    frame[live] = frame[live].astype("float64")
    return frame.astype({"version": "int64", "rows": "int64", "labelled": "int64", "firing": "int64"})


_INTEGER = frozenset("TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT".split())
_FLOAT = frozenset("FLOAT DOUBLE DECIMAL".split())


def sql(answer: Mapping[str, Any]) -> pd.DataFrame:
    """A query's table, each column typed after DuckDB's type. Warns when the limit cut it."""
    names, types, rows = answer["columns"], answer["types"], answer.get("rows") or []
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    series = [_typed(list(values), kind) for values, kind in zip(cells, types, strict=True)]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index(names)  # may hold a name twice, as the query does
    frame.attrs.update(truncated=bool(answer.get("truncated")), seconds=answer.get("seconds"))
    if answer.get("truncated"):
        warnings.warn(
            f"the answer was cut at {len(frame)} rows; pass a higher limit=… or aggregate in the query",
            FairleadWarning,
            stacklevel=4,
        )
    return frame


def _typed(values: list[Any], kind: str) -> pd.Series:
    base = re.sub(r"\(.*\)$", "", kind.upper()).strip()
    gaps = any(v is None for v in values)
    if base.endswith("[]") or base.startswith(("STRUCT", "MAP", "LIST", "UNION")):
        return pd.Series(values, dtype=object)
    if base == "BOOLEAN":
        return pd.Series(values, dtype="boolean" if gaps else "bool")
    if base in _INTEGER:
        exact = [None if v is None else int(v) for v in values]
        if all(v is None or -(2**63) <= v < 2**63 for v in exact):
            return pd.Series(exact, dtype="Int64" if gaps else "int64")
        return pd.Series(exact, dtype=object)
    if base in _FLOAT:
        return pd.Series([np.nan if v is None else float(v) for v in values], dtype="float64")
    if base.startswith("TIMESTAMP"):
        return times(pd.Series(values, dtype=object))
    if base == "DATE":
        days: pd.Series = times(pd.Series(values, dtype=object)).dt.tz_localize(None)
        return days
    if base in ("VARCHAR", "ENUM", "UUID", "TIME"):
        return pd.Series(values, dtype="string")
    return pd.Series(values, dtype=object)


def times(values: pd.Series) -> pd.Series:
    """Server times as UTC; missing ones are NaT."""
    parsed: pd.Series = pd.to_datetime(values, utc=True, format="ISO8601")
    return parsed
