"""fairlead ships, serves and watches machine-learning models; this is its Python client.

    >>> import fairlead
    >>> fairlead.push(model, name="flights", reference=train, label="late", time="scheduled")
    >>> predictions = fairlead.predict("flights", today, times="scheduled")
    >>> fairlead.label("flights", predictions, values=landed["late"])
    >>> fairlead.drift("flights")
    >>> fairlead.sql("SELECT count(*) FROM predictions")

Each function opens a :class:`Client` for one call; make one of your own to call often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .client import Client, Grain, Time
from .errors import FairleadError, FairleadWarning
from .version import ModelVersion

__all__ = [
    "Client",
    "FairleadError",
    "FairleadWarning",
    "ModelVersion",
    "alerts",
    "deployments",
    "drift",
    "label",
    "metrics",
    "models",
    "predict",
    "push",
    "sql",
]
__version__ = "0.1.0"


def push(
    model: Any,
    name: str | None = None,
    *,
    reference: pd.DataFrame | str | Path | None = None,
    server: str | None = None,
    alias: str | None = None,
    features: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    label: str | Mapping[str, Any] | None = None,
    task: str | None = None,
    classes: Sequence[Any] | None = None,
    time: str | None = None,
    tests: Sequence[Mapping[str, Any]] | None = None,
    test: bool = False,
    rollout: bool | str | Mapping[str, Any] = False,
    force: bool = False,
    trained_on: str | Sequence[str] | None = None,
    quantized_from: str | None = None,
    distilled_from: str | None = None,
) -> ModelVersion:
    """Makes a model a version on the server, and serves it.

    Args:
        model: the path of an .onnx file or of a bundle folder with fairlead.yaml; an ONNX ModelProto or its bytes; or
            a fitted scikit-learn, LightGBM or XGBoost estimator or pipeline, which is converted
            (``pip install "fairlead[sklearn]"``, ``[lightgbm]``, ``[xgboost]``).
        name: the model's name, and by default the deployment's; a bundle folder has its own.
        reference: rows the model was trained or evaluated on: live traffic is compared with them. Columns are
            features, and label and time where those are given. A DataFrame, or the path of a Parquet or CSV file.
        server: address of the server; see :class:`Client`.
        alias: a name for this version, such as "champion".
        features: names of the features in order, where neither the model nor the reference says; for an ONNX model
            with several wide inputs a dict of input name to names.
        label: name of the truth, or ``{"name": "late", "delay": "24h"}`` with how late it usually comes.
        task: "binary", "multiclass", "regression" or "none"; estimators know theirs.
        classes: names of the classes in order of the score's columns; estimators know theirs.
        time: the reference's column of event times. With it, windows are compared with the same hours of the week.
        tests: what the version must keep, a list like that of ``tests`` in fairlead.yaml (docs/testing.md):
            ``[{"metric": "auroc", "at_least": 0.7, "by": "origin"}]``. They stay with it; a bundle folder has its own.
        test: store it only if it passes its tests; else the error's code is "conflict" and it names those that failed.
        rollout: put it live step by step instead of at once, where another version is live: True, or the policy, as a
            mapping or as YAML: ``{"stages": ["5%", "50%", "100%"]}``.
        force: also where the signature breaks the clients of the version that is live, or that the alias points at.
        trained_on: lineage: the data it was trained on, as you call it.
        quantized_from: lineage: a version such as "flights@3" or "flights:champion".
        distilled_from: lineage: a version.

    Returns:
        The version. The server's notes are in it, and are shown as warnings.

    Example:
        >>> v = fairlead.push(LogisticRegression().fit(X, y), name="flights", reference=train, label="late")
        >>> v.version, v.deployment
        (1, 'flights')
    """
    with Client(server) as client:
        return client.push(
            model,
            name,
            reference=reference,
            alias=alias,
            features=features,
            label=label,
            task=task,
            classes=classes,
            time=time,
            tests=tests,
            test=test,
            rollout=rollout,
            force=force,
            trained_on=trained_on,
            quantized_from=quantized_from,
            distilled_from=distilled_from,
        )


def predict(deployment: str, df: Any, *, server: str | None = None, **options: Any) -> pd.DataFrame:
    """:meth:`Client.predict` on a client of its own.

    Example:
        >>> fairlead.predict("flights", df, times="scheduled")
    """
    with Client(server) as client:
        return client.predict(deployment, df, **options)


def label(
    deployment: str, predictions: Any, values: Any = None, times: Any = None, *, server: str | None = None
) -> int:
    """:meth:`Client.label` on a client of its own.

    Example:
        >>> fairlead.label("flights", predictions, values=df["late"])
    """
    with Client(server) as client:
        return client.label(deployment, predictions, values, times)


def drift(
    deployment: str,
    grain: Grain = "day",
    start: Time | None = None,
    end: Time | None = None,
    limit: int | None = None,
    *,
    server: str | None = None,
) -> pd.DataFrame:
    """:meth:`Client.drift` on a client of its own.

    Example:
        >>> fairlead.drift("flights", grain="hour")
    """
    with Client(server) as client:
        return client.drift(deployment, grain, start, end, limit)


def metrics(
    deployment: str,
    grain: Grain = "day",
    start: Time | None = None,
    end: Time | None = None,
    limit: int | None = None,
    *,
    server: str | None = None,
) -> pd.DataFrame:
    """:meth:`Client.metrics` on a client of its own.

    Example:
        >>> fairlead.metrics("flights")
    """
    with Client(server) as client:
        return client.metrics(deployment, grain, start, end, limit)


def alerts(deployment: str | None = None, state: str | None = None, *, server: str | None = None) -> pd.DataFrame:
    """:meth:`Client.alerts` on a client of its own.

    Example:
        >>> fairlead.alerts(state="firing")
    """
    with Client(server) as client:
        return client.alerts(deployment, state)


def models(*, server: str | None = None) -> pd.DataFrame:
    """:meth:`Client.models` on a client of its own.

    Example:
        >>> fairlead.models()
    """
    with Client(server) as client:
        return client.models()


def deployments(*, server: str | None = None) -> pd.DataFrame:
    """:meth:`Client.deployments` on a client of its own.

    Example:
        >>> fairlead.deployments()
    """
    with Client(server) as client:
        return client.deployments()


def sql(query: str, limit: int | None = None, *, server: str | None = None) -> pd.DataFrame:
    """:meth:`Client.sql` on a client of its own.

    Example:
        >>> fairlead.sql("SELECT version, count(*) AS n FROM predictions GROUP BY version")
    """
    with Client(server) as client:
        return client.sql(query, limit)
