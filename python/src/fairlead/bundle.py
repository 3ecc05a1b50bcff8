"""Bundle folders as bytes: fairlead.yaml, the model, the reference, in a tar that is the same for the same content."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import FairleadError
from .rows import check_columns

MANIFEST = "fairlead.yaml"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(name: Any) -> str:
    """name, if it may name a model."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise FairleadError(
            f"{name!r} is not a name for a model",
            hint='a name has 1 to 64 of a-z 0-9 . _ - and starts with a letter or digit, for example "flights"',
        )
    return name


def manifest(entries: Mapping[str, Any]) -> str:
    """fairlead.yaml. Values are written in YAML's flow style, which is JSON; lists of tensors one to a line."""
    lines = []
    for key, value in entries.items():
        if value is None or value == []:
            continue
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines.append(f"{key}:")
            lines += [f"  - {json.dumps(item, ensure_ascii=False)}" for item in value]
        else:
            lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def parquet(frame: pd.DataFrame, time: str | None = None) -> bytes:
    """frame as Parquet with plain columns: numbers, booleans, strings and UTC timestamps; no index, no pandas metadata.
    The column named time is read as datetimes."""
    check_columns(frame)
    if frame.empty:
        raise FairleadError("the reference has no rows", hint="give the rows the model was trained or evaluated on")
    columns = {str(name): _plain(frame[name], as_time=name == time) for name in frame.columns}
    table = pa.table(columns)
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", store_schema=False)
    return out.getvalue()


def _plain(column: pd.Series, as_time: bool) -> pa.Array:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if as_time and not pd.api.types.is_datetime64_any_dtype(column.dtype):
        if pd.api.types.is_numeric_dtype(column.dtype):
            raise FairleadError(
                f"the time column {column.name!r} holds numbers",
                hint="say their unit: pd.to_datetime(…, unit='s', utc=True)",
            )
        try:
            column = pd.to_datetime(column, utc=True)
        except (ValueError, TypeError) as e:
            raise FairleadError(f"the time column {column.name!r} cannot be read as datetimes: {e}") from e
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        utc = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
        return pa.Array.from_pandas(utc.dt.as_unit("us"), type=pa.timestamp("us", tz="UTC"))
    try:
        array = pa.Array.from_pandas(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as e:
        raise FairleadError(
            f"column {column.name!r} of the reference mixes kinds of values: {e}",
            hint="make it one of number, string or boolean, for example with .astype(float) or .astype(str)",
        ) from e
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_null(array.type):
        return array.cast(pa.float64())
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return array.cast(pa.string())
    if pa.types.is_float16(array.type) or pa.types.is_decimal(array.type):
        return array.cast(pa.float64())
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string)
    if not any(kind(array.type) for kind in kinds):
        raise FairleadError(
            f"column {column.name!r} of the reference holds {array.type}",
            hint="leave it out, or make it a number or a string",
        )
    return array


def pack(files: Mapping[str, bytes]) -> bytes:
    """An uncompressed tar of files. Order, owners and times are fixed, so that equal content gives equal bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(files[path]), 0o644
            tar.addfile(info, io.BytesIO(files[path]))
    return out.getvalue()


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a bundle folder by their slash-separated path. Hidden files and __pycache__ stay behind."""
    if not (folder / MANIFEST).is_file():
        raise FairleadError(
            f"{folder} has no {MANIFEST}",
            hint="a bundle folder has one; `name: flights` and `model: model.onnx` are enough",
        )
    files = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            files["/".join(parts)] = path.read_bytes()
    return files


def folder_name(text: bytes) -> str | None:
    """The name that a fairlead.yaml gives, or None. Anything unusual is left to the server."""
    found = re.search(
        r"^name:[ \t]*[\"']?([A-Za-z0-9._-]+)[\"']?[ \t]*(?:#.*)?$", text.decode("utf-8", "replace"), re.M
    )
    return found.group(1) if found else None
