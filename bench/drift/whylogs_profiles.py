"""whylogs' profiles of two Parquet files and its drift scores: whylogs_profiles.py REFERENCE CURRENT OUT"""

import sys

import pandas as pd
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

reference, current = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
a, b = whylogs.log(reference).view(), whylogs.log(current).view()
scores = calculate_drift_scores(target_view=b, reference_view=a, with_thresholds=True)
open(sys.argv[3], "w").write(str(scores))
