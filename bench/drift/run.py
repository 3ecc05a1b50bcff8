"""Compares the time and the peak memory of a drift report with other tools', on the same files, in turn.

    run.py CACHE FAIRLEAD FLIGHTS [--rounds N]

CACHE holds venv-evidently, venv-nannyml and venv-whylogs (run.sh makes them); a tool that is missing is left out and named.
FLIGHTS is the 3,000,000 flights; the first three months are the reference, the next three the current rows. Each tool is one
process that reads both files and writes its report; what is measured is that process, from start to end, and its largest
resident memory. Medians of the rounds; a ratio above 1 says that fairlead is faster, or smaller.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SPLIT = """
import pandas as pd, sys
rows = pd.read_parquet(sys.argv[1])
rows["late"] = (rows.delay > 15).astype("int64")
half = rows.date < "2001-04-01"
rows[half].to_parquet(sys.argv[2], index=False)
rows[~half].to_parquet(sys.argv[3], index=False)
"""


def measure(command):
    """Runs a command; returns seconds and peak MB, or None with its last words."""
    begin = time.monotonic()
    env = dict(os.environ, NML_DISABLE_USAGE_LOGGING="1", DO_NOT_TRACK="1", WHYLOGS_NO_ANALYTICS="True")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env) as p:
        words = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode != 0:
        return None, words.decode(errors="replace").strip().splitlines()[-1:]
    return (time.monotonic() - begin, usage.ru_maxrss / 1024), None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("fairlead")
    parser.add_argument("flights")
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    python = {tool: a.cache / f"venv-{tool}" / "bin" / "python" for tool in ("evidently", "nannyml", "whylogs")}
    work = a.cache / "drift"
    work.mkdir(exist_ok=True)
    reference, current = work / "reference.parquet", work / "current.parquet"
    if not current.exists():
        subprocess.run([python["evidently"], "-c", SPLIT, a.flights, reference, current], check=True)
    tools = {
        "fairlead": [a.fairlead, "compare", reference, current, "--html", work / "fairlead.html"],
        "Evidently, DataDriftPreset": [python["evidently"], HERE / "evidently_report.py", reference, current, work / "evidently.html"],
        "NannyML, univariate by day": [python["nannyml"], HERE / "nannyml_drift.py", reference, current, work / "nannyml.csv", "date"],
        "whylogs, profiles and scores": [python["whylogs"], HERE / "whylogs_profiles.py", reference, current, work / "whylogs.txt"],
    }
    seconds, memory = {t: [] for t in tools}, {t: [] for t in tools}
    for n in range(a.rounds):
        for tool, command in tools.items():
            if not Path(command[0]).exists():
                continue
            got, why = measure(command)
            if got is None:
                print(f"{tool} failed: {why}", file=sys.stderr)
                continue
            print(f"round {n + 1}: {tool}: {got[0]:.2f} s, {got[1]:.0f} MB", file=sys.stderr)
            seconds[tool].append(got[0])
            memory[tool].append(got[1])
    ours, size = statistics.median(seconds["fairlead"]), statistics.median(memory["fairlead"])
    print("| drift report of 3,000,000 flights | seconds | peak MB | × slower | × larger |\n|---|--:|--:|--:|--:|")
    for tool in tools:
        if seconds[tool]:
            s, m = statistics.median(seconds[tool]), statistics.median(memory[tool])
            print(f"| {tool} | {s:.2f} | {m:.0f} | {s / ours:.1f} | {m / size:.1f} |")


if __name__ == "__main__":
    main()
