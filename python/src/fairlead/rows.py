"""Data frames into rows of a request: every value becomes a JSON number, string, boolean or null, or is refused with
the column's name."""

from __future__ import annotations

import decimal
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .errors import FairleadError


def as_frame(data: Any) -> pd.DataFrame:
    """A frame of features: a DataFrame as it is, a dict as one row, a list of dicts as rows."""
    if isinstance(data, pd.DataFrame):
        frame = data
    elif isinstance(data, Mapping):
        frame = pd.DataFrame([dict(data)])
    elif isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
        frame = pd.DataFrame([dict(row) for row in data])
    else:
        raise FairleadError(
            f"expected a DataFrame, a dict of features or a list of them, got {type(data).__name__}",
            hint="name the columns: pd.DataFrame(values, columns=[…])",
        )
    check_columns(frame)
    return frame


def check_columns(frame: pd.DataFrame) -> None:
    """Refuses column names that cannot be feature names."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise FairleadError("the columns are a MultiIndex", hint="flatten it: a feature has one name")
    odd = [c for c in frame.columns if not isinstance(c, str)]
    if odd:
        raise FairleadError(
            f"column names must be strings, got {_some(odd)}",
            hint="rename them: df.columns = [str(c) for c in df.columns]",
        )
    if frame.columns.has_duplicates:
        raise FairleadError(f"columns appear twice: {_some(frame.columns[frame.columns.duplicated()].unique())}")


class Encoder:
    """Turns slices of a frame into the request's ``instances``. types maps a feature to the data type of its tensor
    where that is known; it decides whether a boolean is written as true or as 1. Values are checked when encoded."""

    def __init__(self, frame: pd.DataFrame, types: Mapping[str, str] | None = None) -> None:
        self._frame = frame
        self._types = types or {}

    def instances(self, start: int, stop: int) -> list[dict[str, Any]]:
        part = self._frame.iloc[start:stop]
        names = [str(c) for c in part.columns]
        columns = [values(part[c], bool_as_int=self._types.get(c, "BOOL") not in ("BOOL", "BYTES")) for c in names]
        if not columns:
            return [{} for _ in range(len(part))]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def values(column: pd.Series, *, bool_as_int: bool = False) -> list[Any]:
    """The column as JSON values; null, NaN and NaT become None. Infinities stay: the server reads the bare tokens
    Infinity and -Infinity, and its monitor counts them.

    Refused: datetimes, durations, intervals, complex numbers and bytes.
    """
    dtype, name = column.dtype, column.name
    if isinstance(dtype, pd.CategoricalDtype):
        column = column.astype(object)
        dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype):
        out = [None if v is pd.NA or v is None else bool(v) for v in column.array]
        return [v if v is None else int(v) for v in out] if bool_as_int else out
    if isinstance(dtype, np.dtype) and dtype.kind in "iu":
        return column.tolist()
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return [None if v != v else v for v in column.tolist()]
    if _refused_dtype(dtype):
        raise _refused(name, str(dtype))
    return [_scalar(name, v, bool_as_int) for v in column.array]


def _refused_dtype(dtype: Any) -> bool:
    return (
        pd.api.types.is_datetime64_any_dtype(dtype)
        or pd.api.types.is_timedelta64_dtype(dtype)
        or pd.api.types.is_complex_dtype(dtype)
        or isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype)
    )


def _scalar(name: Any, v: Any, bool_as_int: bool) -> Any:
    if isinstance(v, str):
        return str(v)
    if v is None or v is pd.NA or v is pd.NaT:
        return None
    if isinstance(v, bool | np.bool_):
        return int(v) if bool_as_int else bool(v)
    if isinstance(v, numbers.Integral):
        return int(v)
    if isinstance(v, numbers.Real | decimal.Decimal):
        f = float(v)
        return None if math.isnan(f) else f
    if isinstance(v, list | tuple | np.ndarray):
        return [_scalar(name, x, bool_as_int) for x in (v.tolist() if isinstance(v, np.ndarray) else v)]
    raise _refused(name, type(v).__name__)


def _refused(name: Any, kind: str) -> FairleadError:
    hint = "a feature is a number, a string or a boolean: convert the column, or leave it out"
    if "datetime" in kind or kind in ("Timestamp", "date"):
        hint = f"derive numbers from it (hour, weekday, …), or pass it as the event time: times={name!r}"
    elif kind == "bytes":
        hint = "decode it to a string first"
    return FairleadError(f"column {name!r} holds {kind}, which a model does not take", hint=hint)


def _some(items: Any, most: int = 5) -> str:
    items = list(items)
    text = ", ".join(repr(i) for i in items[:most])
    return text if len(items) <= most else f"{text} and {len(items) - most} more"


def take(frame: pd.DataFrame, given: Any, what: str) -> tuple[pd.Series | None, str | None]:
    """Per-row values for a frame: None, a column's name, a Series aligned by index, or a sequence in row order. The
    second result is the column's name if given names one."""
    if given is None:
        return None, None
    if isinstance(given, str):
        if given not in frame.columns:
            raise FairleadError(f"{what}={given!r} names no column", hint=f"the frame has {_some(frame.columns)}")
        return frame[given], given
    return align(frame.index, given, what), None


def align(index: pd.Index, given: Any, what: str) -> pd.Series:
    """given as a Series in the order of index. A Series is matched by its index, anything else by position."""
    if isinstance(given, pd.Series) and not given.index.equals(index):
        if given.index.has_duplicates or not index.isin(given.index).all():
            raise FairleadError(
                f"the index of {what} does not match the frame's",
                hint=f"give {what} the same index, or pass plain values in row order: {what}.to_numpy()",
            )
        return given.reindex(index)
    out = (
        given if isinstance(given, pd.Series) else pd.Series(list(given), index=index if _same(index, given) else None)
    )
    if len(out) != len(index):
        raise FairleadError(f"{what} has {len(out)} values for {len(index)} rows")
    return out


def _same(index: pd.Index, given: Any) -> bool:
    return hasattr(given, "__len__") and len(given) == len(index)


def timestamps(given: pd.Series, what: str) -> list[str | None]:
    """RFC 3339 in UTC, None for missing ones. Times without a zone are taken as UTC."""
    if pd.api.types.is_numeric_dtype(given.dtype) and not given.isna().all():
        raise FairleadError(
            f"{what} must be datetimes, got {given.dtype}",
            hint=f"say the unit: pd.to_datetime({what}, unit='s', utc=True)",
        )
    try:
        if pd.api.types.is_string_dtype(given.dtype):
            parsed = pd.to_datetime(given, utc=True, format="ISO8601")
        else:
            parsed = pd.to_datetime(given, utc=True)
    except (ValueError, TypeError) as e:
        raise FairleadError(f"{what} must be datetimes: {e}") from e
    return [None if pd.isna(t) else t.isoformat().replace("+00:00", "Z") for t in parsed]


def metas(
    frame: pd.DataFrame, ids: Any, times: Any, keys: Any, tags: Any
) -> tuple[list[dict[str, Any]] | None, set[str]]:
    """The request's ``rows``, parallel to the frame, or None when nothing was said; and the columns that were used."""
    out: list[dict[str, Any]] = [{} for _ in range(len(frame))]
    used: set[str] = set()
    for field, given in (("id", ids), ("time", times), ("key", keys)):
        series, column = take(frame, given, {"id": "ids", "time": "times", "key": "keys"}[field])
        if series is None:
            continue
        if column:
            used.add(column)
        texts = timestamps(series, "times") if field == "time" else [None if pd.isna(v) else str(v) for v in series]
        for row, text in zip(out, texts, strict=True):
            if text is not None:
                row[field] = text
    for row, tag in zip(out, _tags(tags, len(frame)), strict=True):
        if tag:
            row["tags"] = {str(k): str(v) for k, v in tag.items()}
    return (out if any(out) else None), used


def _tags(tags: Any, n: int) -> list[Mapping[str, Any] | None]:
    if tags is None or isinstance(tags, Mapping):
        return [tags] * n
    out = list(tags)
    if len(out) != n:
        raise FairleadError(
            f"tags has {len(out)} values for {n} rows", hint="give one dict for all rows, or one for each"
        )
    if not all(t is None or isinstance(t, Mapping) for t in out):
        raise FairleadError("tags must be a dict, or one dict for each row", hint='for example tags={"team": "ops"}')
    return out
