"""NannyML's univariate drift of two Parquet files by day: nannyml_drift.py REFERENCE CURRENT OUT TIME"""

import sys

import nannyml
import pandas as pd

reference, current = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
time = sys.argv[4]
columns = [c for c in reference.columns if c != time]
calculator = nannyml.UnivariateDriftCalculator(
    column_names=columns, timestamp_column_name=time, chunk_period="D",
    continuous_methods=["kolmogorov_smirnov", "jensen_shannon", "wasserstein"], categorical_methods=["jensen_shannon", "l_infinity"],
)
calculator.fit(reference)
calculator.calculate(current).to_df().to_csv(sys.argv[3])
