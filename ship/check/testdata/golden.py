"""Reference values for the metrics and intervals of this package: python golden.py > golden.json

scikit-learn and SciPy give what they have; the calibration error and DeLong's variance are written out from their definitions.
"""

import json

import numpy as np
from scipy.stats import binomtest, t
from sklearn import metrics as m

rng = np.random.default_rng(20010308)


def ece(p, hit, bins):
    at = np.minimum((p * bins).astype(int), bins - 1)
    return sum(abs((hit[at == b] - p[at == b]).sum()) for b in range(bins)) / len(p)


def delong(p, y):
    """The standard error of AUROC by the placement values of DeLong et al. (1988), with n and not n-1."""
    a, b = p[y == 1], p[y == 0]
    k = (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
    return float(np.sqrt(k.mean(1).var() / len(a) + k.mean(0).var() / len(b)))


def binary(name, p, y, threshold):
    d = p >= threshold
    return {
        "name": name, "score": p.tolist(), "truth": y.tolist(), "threshold": threshold, "delong": delong(p, y),
        "want": {
            "accuracy": m.accuracy_score(y, d), "auroc": m.roc_auc_score(y, p), "log_loss": m.log_loss(y, p),
            "brier": m.brier_score_loss(y, p), "ece": ece(p, y, 10), "precision": m.precision_score(y, d),
            "recall": m.recall_score(y, d), "f1": m.f1_score(y, d),
        },
    }


def several(name, p, y):
    d = p.argmax(1)
    one = np.eye(p.shape[1])[y]
    return {
        "name": name, "score": p.ravel().tolist(), "width": p.shape[1], "truth": y.tolist(),
        "want": {
            "accuracy": m.accuracy_score(y, d), "auroc": m.roc_auc_score(y, p, multi_class="ovr"), "log_loss": m.log_loss(y, p),
            "brier": ((p - one) ** 2).sum(1).mean(), "ece": ece(p.max(1), (d == y).astype(float), 10),
            "precision": m.precision_score(y, d, average="macro", zero_division=0), "recall": m.recall_score(y, d, average="macro"),
            "f1": m.f1_score(y, d, average="macro"),
        },
        "second": {
            "precision": m.precision_score(y == 1, d == 1), "recall": m.recall_score(y == 1, d == 1), "f1": m.f1_score(y == 1, d == 1),
            "auroc": m.roc_auc_score(y == 1, p[:, 1]),
        },
    }


def regression(name, p, y, quantile):
    return {
        "name": name, "score": p.tolist(), "truth": y.tolist(), "quantile": quantile,
        "want": {
            "mae": m.mean_absolute_error(y, p), "rmse": m.root_mean_squared_error(y, p), "r2": m.r2_score(y, p),
            "bias": float((p - y).mean()), "pinball": m.mean_pinball_loss(y, p, alpha=quantile),
        },
    }


p = rng.beta(2, 3, 150).round(3)
ties = rng.integers(0, 5, 120) / 4.0
logits = rng.normal(size=(90, 3))
soft = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
x = rng.normal(10, 3, 80)
few = rng.choice(3, 60, p=[0.5, 0.4, 0.1])  # of four classes: the last is said and never true, two of them are rarely said
hard = np.where(rng.random(60) < 0.7, few, rng.choice([0, 1, 3], 60))
golden = {
    "binary": [
        binary("smooth", p, (rng.random(150) < p).astype(int), 0.5),
        binary("ties and certainties", ties, (rng.random(120) < 0.2 + 0.6 * ties).astype(int), 0.25),
    ],
    "several": [several("three classes", soft, np.array([rng.choice(3, p=q) for q in soft]))],
    "regression": [regression("noise", x + rng.normal(0.3, 1, 80), x, 0.9), regression("constant", np.full(40, 2.5), rng.normal(2, 1, 40), 0.5)],
    "classes": {
        "said": hard.tolist(), "truth": few.tolist(),
        "want": {
            "accuracy": m.accuracy_score(few, hard), "precision": m.precision_score(few, hard, average="macro", zero_division=0),
            "recall": m.recall_score(few, hard, average="macro", zero_division=0), "f1": m.f1_score(few, hard, average="macro", zero_division=0),
        },
    },
    "student": [{"confidence": c, "df": df, "t": t.ppf((1 + c) / 2, df)} for c in (0.5, 0.9, 0.95, 0.9995) for df in (1, 2, 9, 58, 1000)],
    "wilson": [
        {"k": k, "n": n, "confidence": c, "low": iv.low, "high": iv.high}
        for k, n, c in [(0, 10, 0.95), (10, 10, 0.95), (1, 7, 0.9), (43, 120, 0.99), (5000, 9000, 0.999)]
        for iv in [binomtest(k, n).proportion_ci(c, method="wilson")]
    ],
}
print(json.dumps(golden, indent=1, default=float))
