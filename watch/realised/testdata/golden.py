"""Writes golden.json: realised metrics as scikit-learn computes them. Run: python golden.py > golden.json"""

import json
import warnings

import numpy as np
import sklearn
from sklearn import metrics as m

warnings.simplefilter("ignore")


def binary(name, scores, positive, threshold=0.5):
    s, y = np.asarray(scores, float), np.asarray(positive, bool)
    both = y.any() and not y.all()
    return {
        "name": name,
        "scores": s.tolist(),
        "positive": y.tolist(),
        "threshold": threshold,
        "accuracy": m.accuracy_score(y, s >= threshold),
        "auroc": m.roc_auc_score(y, s) if both else None,
        "log_loss": m.log_loss(y, np.c_[1 - s, s], labels=[False, True]),
        "brier": float(np.mean((s - y) ** 2)) if not both else m.brier_score_loss(y, s),
        "positive_rate": y.mean(),
        "predicted_rate": (s >= threshold).mean(),
    }


def regression(name, predicted, truth):
    p, y = np.asarray(predicted, float), np.asarray(truth, float)
    return {
        "name": name,
        "predicted": p.tolist(),
        "truth": y.tolist(),
        "mae": m.mean_absolute_error(y, p),
        "rmse": float(np.sqrt(m.mean_squared_error(y, p))),
        "bias": float(np.mean(p - y)),
    }


rng = np.random.default_rng(7)
s = rng.beta(2, 5, 200).round(6)
y = rng.random(200) < s
coarse = s.round(1)  # many ties
cases = {
    "scikit_learn": sklearn.__version__,
    "binary": [
        binary("four", [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]),
        binary("calibrated", s, y),
        binary("ties", coarse, y),
        binary("threshold", s, y, 0.3),
        binary("certain and wrong", [0, 1, 1, 0.25], [1, 0, 1, 0]),
        binary("all tied", [0.3] * 5, [0, 1, 0, 1, 1]),
        binary("one class", [0.2, 0.9], [1, 1]),
        binary("reversed", [0.9, 0.8, 0.2], [0, 0, 1]),
    ],
    "regression": [
        regression("three", [2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]),
        regression("noisy", rng.normal(10, 3, 100).round(6), rng.normal(9, 3, 100).round(6)),
        regression("exact", [1, 2], [1, 2]),
    ],
}
print(json.dumps(cases, indent=1, default=float))
