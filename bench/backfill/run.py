"""Compares `fairlead import` of 3,000,000 past predictions with DuckDB's own COPY of the same file, and a query by segment and
day over them with the same SQL on the bare file.

    run.py WORK FAIRLEAD ROOT [--rounds N]

Each round: COPY into a table of a new database file and CHECKPOINT; a new server that imports the predictions; a new server that
imports them with their labels, and then, when its monitor is done with them, the query, in turn with DuckDB's on the file. An import ends when its rows can be queried.
Ratios are medians over the rounds of DuckDB's time ÷ fairlead's; for the query the other way round.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import time
import urllib.request
from pathlib import Path

import duckdb

MAKE = """
COPY (
  SELECT 'f' || lpad(row_number() OVER (ORDER BY date)::VARCHAR, 7, '0') AS prediction_id, date AS event_time,
    hour(date)::FLOAT AS hour, (isodow(date) - 1)::FLOAT AS weekday, distance::FLOAT AS distance,
    (hash(date, origin) % 60)::FLOAT AS departures, origin, destination,
    least(1, 0.05 + 0.01 * hour(date) + (hash(date, origin, destination, distance) % 1000) / 1500)::FLOAT AS probability,
    CASE WHEN delay > 15 THEN 'late' ELSE 'on_time' END AS late,
    date + to_minutes(greatest(delay, 0) + 120) AS landed
  FROM '{flights}' ORDER BY date
) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
"""
METRIC = "SELECT date_trunc('day', event_time) AS day, origin, count(*) AS n, avg(({right})::INT) AS accuracy FROM {rows} GROUP BY ALL"
ON_FILE = METRIC.format(right="(late = 'late') = (probability >= 0.5)", rows="'{file}'")
ON_STORE = METRIC.format(right="(label = 'late') = (score >= 0.5)", rows='labelled."flights"')


def copy(work, file):
    path = work / "copy.duckdb"
    path.unlink(missing_ok=True)
    db = duckdb.connect(str(path), config={"threads": 2})
    db.execute(f"CREATE TABLE p AS FROM '{file}' LIMIT 0")
    begin = time.monotonic()
    db.execute(f"COPY p FROM '{file}'")
    db.execute("CHECKPOINT")
    took = time.monotonic() - begin
    db.close()
    return took


class Server:
    def __init__(self, work, fairlead, root):
        self.data, self.fairlead = work / "data", fairlead
        shutil.rmtree(self.data, ignore_errors=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(work / "server.log", "w")
        self.process = subprocess.Popen([fairlead, "serve", "--data", self.data, "--http", f"127.0.0.1:{port}", "--grpc", ""], stdout=self.log, stderr=self.log)
        for _ in range(300):
            try:
                urllib.request.urlopen(self.url + "/v2/health/ready").read()
                break
            except OSError:
                time.sleep(0.1)
        self.run("push", root / "examples/flights/bundle", "--name", "flights")

    def run(self, *args):
        return subprocess.run([self.fairlead, *args, "--server", self.url], check=True, capture_output=True, text=True).stdout

    def load(self, file, *flags):
        """Seconds until the rows can be queried, and the rows a second that the command says, until they are on disk in the event log."""
        begin = time.monotonic()
        said = self.run("import", "flights", file, *flags)
        took = time.monotonic() - begin
        return took, float(re.search(r"\((\d+) rows/s\)", said).group(1))

    def query(self):
        body = json.dumps({"query": f"SELECT count(*), sum(n) FROM ({ON_STORE})"}).encode()
        request = urllib.request.Request(self.url + "/api/v1/sql", body, {"Content-Type": "application/json"})
        begin = time.monotonic()
        urllib.request.urlopen(request).read()
        return time.monotonic() - begin

    def cube(self, path):
        """Asks for the accuracy of every saved segment by day."""
        begin = time.monotonic()
        answer = urllib.request.urlopen(self.url + "/api/v1/deployments/flights/" + path).read()
        return time.monotonic() - begin, answer

    def save_segments(self, origins):
        for o in origins:
            self.run("segments", "flights", o, f'origin == "{o}"')

    def settle(self):
        """Waits until the monitor has measured the windows of the import: the server then uses hardly any processor time."""

        def used():
            fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        for _ in range(100):
            before = used()
            time.sleep(3)
            if used() - before < 0.3:
                return

    def peak(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def query_file(file, where=""):
    begin = time.monotonic()
    db = duckdb.connect(config={"threads": 2})
    db.execute(f"SELECT count(*), sum(n) FROM ({ON_FILE.format(file=file).replace(' GROUP BY', where + ' GROUP BY')})").fetchall()
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("fairlead")
    parser.add_argument("root", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    file = a.work / "predictions.parquet"
    if not file.exists():
        duckdb.sql(MAKE.format(flights=a.root / "bin/flights-3m.parquet", out=file))
    rows = duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchone()[0]
    origins = [o for (o,) in duckdb.sql(f"SELECT origin FROM '{file}' GROUP BY origin ORDER BY count(*) DESC, origin LIMIT 20").fetchall()]
    only = " WHERE origin IN (" + ", ".join(f"'{o}'" for o in origins) + ")"
    seen = {k: [] for k in ("copy", "predictions", "disk", "labelled", "predictions ratio", "disk ratio", "labelled ratio", "query", "file", "query ratio", "first", "cube", "bare", "cube ratio", "peak")}
    for n in range(a.rounds):
        base = copy(a.work, file)
        s = Server(a.work, a.fairlead, a.root)
        plain, rate = s.load(file, "--label", "-")
        s.close()
        base = (base + copy(a.work, file)) / 2
        s = Server(a.work, a.fairlead, a.root)
        labelled, _ = s.load(file, "--label-time", "landed")
        s.settle()
        ours, theirs = [], []
        for _ in range(5):
            theirs.append(query_file(file))
            ours.append(s.query())
        s.save_segments(origins)
        first = s.cube("cube?grain=day&limit=5000")[0]
        counted, bare = [], []
        for _ in range(5):
            bare.append(query_file(file, only))
            counted.append(s.cube("cube?grain=day&limit=5000")[0])
        peak = s.peak()
        s.close()
        got = dict(zip(seen, (base, plain, rows / rate, labelled, base / plain, base * rate / rows, base / labelled, statistics.median(ours), statistics.median(theirs),
                              statistics.median(ours) / statistics.median(theirs), first, statistics.median(counted), statistics.median(bare),
                              statistics.median(counted) / statistics.median(bare), peak)))
        for k, v in got.items():
            seen[k].append(v)
        print(f"round {n + 1}: " + ", ".join(f"{k} {v:.2f}" for k, v in got.items()) + f", load {os.getloadavg()[0]:.1f}", flush=True)
    m = {k: statistics.median(v) for k, v in seen.items()}
    print(f"\n| {rows:,} past predictions | seconds | rows/s | ratio |\n|---|--:|--:|--:|")
    print(f"| DuckDB COPY and CHECKPOINT | {m['copy']:.1f} | {rows / m['copy']:,.0f} | |")
    print(f"| fairlead import, until they are on disk | {m['disk']:.1f} | {rows / m['disk']:,.0f} | {m['disk ratio']:.2f} |")
    print(f"| fairlead import, until they can be queried | {m['predictions']:.1f} | {rows / m['predictions']:,.0f} | {m['predictions ratio']:.2f} |")
    print(f"| fairlead import with a label each | {m['labelled']:.1f} | {rows / m['labelled']:,.0f} | {m['labelled ratio']:.2f} |")
    print(f"| accuracy by origin and day, DuckDB on the file | {m['file']:.2f} | | |")
    print(f"| the same on the store, over HTTP | {m['query']:.2f} | | {m['query ratio']:.1f} |")
    print(f"| accuracy of 20 origins by day, DuckDB on the file | {m['bare']:.2f} | | |")
    print(f"| the same from saved segments, with five more metrics and intervals, over HTTP | {m['cube']:.2f} | | {m['cube ratio']:.1f} |")
    print(f"| their first time, which counts the hours | {m['first']:.2f} | | |")
    print(f"\npeak memory of the server {m['peak']:.0f} MB")


if __name__ == "__main__":
    main()
