"""Evidently's drift report of two Parquet files, as a page: evidently_report.py REFERENCE CURRENT OUT"""

import sys

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

reference, current = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
Report([DataDriftPreset()]).run(current, reference).save_html(sys.argv[3])
