"""Labels in the shapes people have them into the control API's list."""

from __future__ import annotations

import decimal
import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from .errors import FairleadError
from .rows import align, take, timestamps


def rows(predictions: Any, values: Any, times: Any) -> list[dict[str, Any]]:
    """The ``labels`` of a request. A missing value means "not known yet" and is left out.

    predictions is a DataFrame with a column prediction_id, a Series (of ids; or, without values, of labels indexed by
    id), one id, or a sequence of ids. values and times match it by index where both are pandas objects, else by
    position; next to a DataFrame they may name its columns.
    """
    if isinstance(predictions, str):
        predictions, values = [predictions], [values]
        times = None if times is None else [times]
    if isinstance(predictions, pd.DataFrame):
        ids, given, when = _from_frame(predictions, values, times)
    elif values is None:
        if not isinstance(predictions, pd.Series):
            raise FairleadError(
                "labels need values", hint="label(deployment, ids, values), or a Series of labels indexed by id"
            )
        ids, given = pd.Series(predictions.index), predictions
        when = None if times is None else align(predictions.index, times, "times")
    else:
        ids = predictions if isinstance(predictions, pd.Series) else pd.Series(list(predictions), dtype=object)
        given = align(ids.index, values, "values")
        when = None if times is None else align(ids.index, times, "times")
    stamps = timestamps(when, "times") if when is not None else [None] * len(ids)
    return list(_labels(ids, given, stamps))


def _from_frame(frame: pd.DataFrame, values: Any, times: Any) -> tuple[pd.Series, pd.Series, pd.Series | None]:
    if "prediction_id" not in frame.columns:
        raise FairleadError(
            f"the frame has no column prediction_id, only {list(frame.columns)}",
            hint="give what predict returned, or ids and values",
        )
    if values is None and "value" in frame.columns:
        values = "value"
        times = "time" if times is None and "time" in frame.columns else times
    if values is None:
        raise FairleadError(
            "labels need values", hint='name the column: values="late", or pass them: values=df["late"]'
        )
    given, _ = take(frame, values, "values")
    when, _ = take(frame, times, "times")
    assert given is not None
    return frame["prediction_id"], given, when


def _labels(ids: pd.Series, values: pd.Series, stamps: Iterable[str | None]) -> Iterable[dict[str, Any]]:
    for i, v, stamp in zip(ids, values, stamps, strict=True):
        if pd.api.types.is_scalar(v) and pd.isna(v):
            continue
        if not isinstance(i, str) or not i:
            raise FairleadError(
                f"a prediction id is a string, got {i!r}", hint="use the column prediction_id of what predict returned"
            )
        label = {"prediction_id": i, "value": _value(v)}
        if stamp is not None:
            label["time"] = stamp
        yield label


def _value(v: Any) -> str | bool | int | float:
    """A class name, a boolean or a number; whole numbers without a point, for a column with gaps holds floats."""
    if isinstance(v, str):
        return str(v)
    if isinstance(v, bool | np.bool_):
        return bool(v)
    if isinstance(v, numbers.Integral):
        return int(v)
    if isinstance(v, numbers.Real | decimal.Decimal) and math.isfinite(v):
        f = float(v)
        return int(f) if f.is_integer() else f
    raise FairleadError(f"a label is a class name, a boolean or a finite number, got {v!r} ({type(v).__name__})")
