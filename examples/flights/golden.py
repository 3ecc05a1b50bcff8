"""Write the slice of flights and the features that the tests of the Go replay use.

    python golden.py flights-3m.parquet

The slice is a stream of its own: the departures counted in it are those of the slice.
"""

import argparse
import csv
import pathlib

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from train import DELAYS, FEATURES, LATE, features, read

AIRPORTS = ["ATL", "HNL", "PHX"]
SPANS = [  # of departure: the turn of February, a day's end, the start of the unit incident
    ("2001-02-28T20:00", "2001-03-01T09:00"),
    ("2001-03-02T22:00", "2001-03-03T00:30"),
    ("2001-03-07T23:00", "2001-03-08T06:00"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("flights", type=pathlib.Path)
    args = parser.parse_args()
    out = pathlib.Path(__file__).parent / "testdata"
    out.mkdir(exist_ok=True)

    t = pq.read_table(args.flights)
    keep = pc.is_in(t["origin"], pa.array(AIRPORTS, t["origin"].type))
    spans = [
        pc.and_(pc.greater_equal(t["date"], _time(a)), pc.less(t["date"], _time(b))) for a, b in SPANS
    ]
    impossible = pc.or_(pc.less(t["delay"], DELAYS[0]), pc.greater_equal(t["delay"], DELAYS[1]))
    impossible = pc.and_(impossible, pc.greater_equal(t["date"], _time("2001-03-01T00:00")))
    inside = pc.or_(pc.or_(spans[0], spans[1]), spans[2])
    path = out / "slice.parquet"
    pq.write_table(t.filter(pc.or_(impossible, pc.and_(keep, inside))), path, compression="zstd", row_group_size=150)

    f = read(path)
    x = features(f)
    with open(out / "features.csv", "w", newline="") as file:
        w = csv.writer(file, lineterminator="\n")
        w.writerow(["row", "minute", *FEATURES, "origin", "destination", "label"])
        for i, delay in enumerate(f["delay"].tolist()):
            label = "" if not DELAYS[0] <= delay < DELAYS[1] else "late" if delay > LATE else "on_time"
            w.writerow([i, f["minute"][i], *x[i].astype(int), f["origin"][i], f["destination"][i], label])
    print(f"{len(x)} flights, {path.stat().st_size:,} bytes")


def _time(s):
    return pa.scalar(s).cast(pa.timestamp("us"))


if __name__ == "__main__":
    main()
