"""Makes the models of this folder. Run it with a Python that has scikit-learn, LightGBM, skl2onnx and onnxmltools:

    python make.py

The models are small and deterministic; they are committed, so that the tests need no Python.
"""

import pathlib
import sys
import warnings

import lightgbm as lgb
import numpy as np
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

warnings.filterwarnings("ignore")
HERE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
HERE = HERE if HERE.is_dir() else HERE.parent


def classes(n, rows=600, features=6):
    x, y = make_classification(rows, features, n_informative=4, n_redundant=0, n_classes=n, random_state=n)
    return x.astype(np.float32), y


def values(targets=1, rows=600, features=6):
    x, y = make_regression(rows, features, n_targets=targets, noise=3, random_state=targets)
    return x.astype(np.float32), y


def holes(x):
    x = x.copy()
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    return x


def sklearn(name, model, x, y, zipmap=False, sample=None):
    model.fit(x, y)
    options = {} if not hasattr(model, "predict_proba") else {"zipmap": zipmap}
    onnx = to_onnx(model, x[:1] if sample is None else sample, options=options,
                   target_opset={"": 17, "ai.onnx.ml": 3})
    (HERE / f"{name}.onnx").write_bytes(onnx.SerializeToString())


def lightgbm(name, model, x, y, **options):
    model.set_params(verbose=-1, num_threads=1, deterministic=True, random_state=1)
    model.fit(x, y)
    onnx = convert_lightgbm(model, initial_types=[("input", FloatTensorType([None, x.shape[1]]))], **options)
    (HERE / f"{name}.onnx").write_bytes(onnx.SerializeToString())


x2, y2 = classes(2)
x3, y3 = classes(3)
xr, yr = values()
xm, ym = values(3)
words = np.array(["late", "cancelled", "on time"])

sklearn("forest2", RandomForestClassifier(12, max_depth=6, random_state=1), x2, y2)
sklearn("forest3", RandomForestClassifier(12, max_depth=6, random_state=1), x3, y3)
sklearn("forest3_words", RandomForestClassifier(8, max_depth=5, random_state=1), x3, words[y3])
sklearn("forest3_zipmap", RandomForestClassifier(8, max_depth=5, random_state=1), x3, y3 * 7 - 5, zipmap=True)
sklearn("forest3_words_zipmap", RandomForestClassifier(8, max_depth=5, random_state=1), x3, words[y3], zipmap=True)
sklearn("forest3_columns", RandomForestClassifier(4, max_depth=4, random_state=1), x3, y3, zipmap="columns")
sklearn("forest2_double", RandomForestClassifier(8, max_depth=5, random_state=1), x2, y2, sample=x2[:1].astype(np.float64))
sklearn("extra3", ExtraTreesClassifier(9, max_depth=5, random_state=1), x3, y3)
sklearn("tree3", DecisionTreeClassifier(max_depth=6, random_state=1), x3, y3)
sklearn("boosting2", GradientBoostingClassifier(n_estimators=20, random_state=1), x2, y2)
sklearn("boosting3", GradientBoostingClassifier(n_estimators=10, random_state=1), x3, y3)
sklearn("forest_value", RandomForestRegressor(9, max_depth=6, random_state=1), xr, yr)
sklearn("forest_values", RandomForestRegressor(6, max_depth=5, random_state=1), xm, ym)
sklearn("tree_value", DecisionTreeRegressor(max_depth=6, random_state=1), xr, yr)
sklearn("boosting_value", GradientBoostingRegressor(n_estimators=20, random_state=1), xr, yr)

lightgbm("lightgbm2", lgb.LGBMClassifier(n_estimators=20, num_leaves=15), holes(x2), y2, zipmap=False)
lightgbm("lightgbm2_zipmap", lgb.LGBMClassifier(n_estimators=10, num_leaves=15), x2, y2)
lightgbm("lightgbm3", lgb.LGBMClassifier(n_estimators=8, num_leaves=15), holes(x3), y3, zipmap=False)
lightgbm("lightgbm3_words", lgb.LGBMClassifier(n_estimators=5, num_leaves=15), x3, words[y3])
lightgbm("lightgbm_value", lgb.LGBMRegressor(n_estimators=20, num_leaves=15), holes(xr), yr)
lightgbm("lightgbm_split", lgb.LGBMRegressor(n_estimators=30, num_leaves=15), xr, yr, split=10)
lightgbm("lightgbm_forest2", lgb.LGBMClassifier(boosting_type="rf", n_estimators=10, subsample=0.7, subsample_freq=1, num_leaves=15), x2, y2, zipmap=False)
category = np.column_stack([np.random.default_rng(2).integers(0, 12, 600), xr[:, :3]]).astype(np.float32)
lightgbm("lightgbm_category", lgb.LGBMRegressor(n_estimators=10, num_leaves=8, categorical_feature=[0], min_data_per_group=5, cat_smooth=1),
         category, yr + 40 * np.isin(category[:, 0], [1, 4, 7]))
