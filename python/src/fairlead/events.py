"""Business events in the shapes people have them into the control API's list."""

from __future__ import annotations

import uuid
from typing import Any

import pandas as pd

from . import labels
from .errors import FairleadError


def rows(name: str, predictions: Any, values: Any, times: Any, keys: Any) -> list[dict[str, Any]]:
    """The ``events`` of a request. A missing value means "not known yet" and is left out.

    Each event gets an id of its own, so that a request that is tried again counts once.
    """
    if (predictions is None) == (keys is None):
        raise FairleadError(
            "an event belongs to a prediction or to an entity",
            hint="give predictions (what predict returned, or ids), or keys=… and times=…",
        )
    if values is None and not isinstance(predictions, pd.DataFrame | pd.Series):
        raise FairleadError("events need values", hint='for example event("shop", "revenue", ids, values=[12.5, 3.0])')
    if keys is None:
        sent = labels.rows(predictions, values, times)
    else:
        sent = labels.rows(keys if isinstance(keys, str) else pd.Series(keys).astype(str), values, times)
    for e in sent:
        if keys is not None:
            e["key"] = e.pop("prediction_id")
        e["value"] = _number(name, e["value"])
        e["name"] = name
        e["id"] = uuid.uuid4().hex
    return sent


def _number(name: str, value: Any) -> int | float:
    if isinstance(value, str):
        raise FairleadError(
            f"the value of an event is a number, got {value!r} for {name}",
            hint="for what happened or not, send 1 and 0; a class name is a label",
        )
    return int(value) if isinstance(value, bool) else value
