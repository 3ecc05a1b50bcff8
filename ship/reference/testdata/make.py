"""Writes the test files of this folder from data/flights-3m.parquet of the npm package vega-datasets 3.2.1.

    python make.py PATH/flights-3m.parquet
"""

import datetime
import decimal
import pathlib
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent


def flights(path):
    """1,000 flights of January and February 2001, evenly spaced in time."""
    t = pq.ParquetFile(path).read_row_group(0).to_pandas().sort_values("date", kind="stable")
    t = t[t.date < "2001-03-01"].reset_index(drop=True)
    t = t.iloc[:: len(t) // 1000].head(1000)
    d = pd.DataFrame({
        "time": t.date.astype("datetime64[ms]"),
        "hour": t.date.dt.hour.astype("int8"),
        "weekday": t.date.dt.day_of_week.astype("int8"),
        "distance": t.distance.astype("float32"),
        "origin": t.origin.astype("category"),
        "destination": t.destination.astype("string"),
        "late": t.delay > 15,
    })
    d.to_parquet(here / "flights.parquet", index=False, compression="zstd")
    d.to_csv(here / "flights.csv", index=False)


def types():
    """Three rows, the middle one null, of every type that is read, in three row groups."""
    utc = datetime.timezone.utc
    moment = datetime.datetime(2001, 3, 1, 12, 30, 15, 250000)
    columns = {
        "int8": pa.array([1, None, -3], pa.int8()),
        "int64": pa.array([1, None, 1 << 40], pa.int64()),
        "uint8": pa.array([1, None, 255], pa.uint8()),
        "uint32": pa.array([1, None, 4294967295], pa.uint32()),
        "uint64": pa.array([1, None, 18446744073709551615], pa.uint64()),
        "float16": pa.array([np.float16(0.5), None, np.float16(-2)], pa.float16()),
        "float32": pa.array([0.1, None, float("nan")], pa.float32()),
        "float64": pa.array([0.1, None, float("inf")], pa.float64()),
        "bool": pa.array([True, None, False], pa.bool_()),
        "string": pa.array(["ATL", None, "é"], pa.string()),
        "large_string": pa.array(["ATL", None, ""], pa.large_string()),
        "category": pa.array(["ATL", None, "DFW"]).dictionary_encode(),
        "timestamp_s": pa.array([moment, None, moment], pa.timestamp("ms")),
        "timestamp_us": pa.array([moment, None, moment], pa.timestamp("us")),
        "timestamp_utc": pa.array([moment.replace(tzinfo=utc), None, moment.replace(tzinfo=utc)], pa.timestamp("us", "UTC")),
        "timestamp_ns": pa.array([moment, None, moment], pa.timestamp("ns")),
        "date": pa.array([moment.date(), None, moment.date()], pa.date32()),
        "nothing": pa.nulls(3),
    }
    table = pa.table(columns)
    pq.write_table(table, here / "types.parquet", row_group_size=1, compression="snappy", use_byte_stream_split=False)
    pq.write_table(table.select(["timestamp_ns"]), here / "int96.parquet", use_deprecated_int96_timestamps=True)
    pq.write_table(table.drop(["float16"]), here / "v2.parquet", data_page_version="2.0", version="1.0", compression="gzip")


def unfit():
    for name, column in {
        "decimal": pa.array([decimal.Decimal("1.50")], pa.decimal128(9, 2)),
        "list": pa.array([[1, 2]], pa.list_(pa.int64())),
        "struct": pa.array([{"a": 1}]),
        "clock": pa.array([datetime.time(1, 2)], pa.time64("us")),
        "binary": pa.array([b"\xff\xfe"], pa.binary()),
        "fixed": pa.array([b"\x00\x01\x02"], pa.binary(3)),
    }.items():
        pq.write_table(pa.table({"x": pa.array([1.0]), "amount": column}), here / f"unfit_{name}.parquet")
    pq.write_table(pa.table({"x": pa.array(["a", "b"])}), here / "unfit_delta.parquet", use_dictionary=False,
                   column_encoding={"x": "DELTA_BYTE_ARRAY"})
    pq.write_table(pa.table({"x": pa.array([], pa.float64())}), here / "unfit_empty.parquet")


flights(sys.argv[1])
types()
unfit()
