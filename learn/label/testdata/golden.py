"""Makes kaplan_meier.json: pip install lifelines==0.30.0 (or newer), then python golden.py > kaplan_meier.json"""

import json

import numpy as np
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_waltons

rng = np.random.default_rng(7)
waltons = load_waltons()
n = 4000
delay = np.ceil(rng.lognormal(8, 1.5, n))  # seconds
delay[rng.random(n) < 0.3] = np.inf  # never labelled
age = np.ceil(rng.uniform(0, 30000, n))
examples = {
    # Kaplan and Meier's own kind of data: failure times of flies
    "waltons": (waltons["T"].to_numpy(), waltons["E"].to_numpy()),
    "nobody waits": (np.array([1, 2, 2, 3, 5]), np.ones(5)),
    "nobody is labelled": (np.array([1, 2, 3]), np.zeros(3)),
    "ties of labels and ages": (np.array([2, 2, 2, 4, 4, 7, 7]), np.array([1, 0, 1, 0, 1, 0, 0])),
    "labels late, some never, ages uniform": (np.minimum(delay, age), (delay <= age).astype(int)),
}
out = []
for name, (t, e) in examples.items():
    fit = KaplanMeierFitter().fit(t, e)
    low, high = fit.confidence_interval_.columns
    at = [float(x) for x in np.unique(np.quantile(t, np.linspace(0, 1, 12)).round())]
    ci = fit.confidence_interval_
    pick = [ci.index[ci.index <= x][-1] for x in at]
    out.append(
        {
            "name": name,
            "times": t.tolist(),
            "labelled": [int(x) for x in e],
            "at": at,
            "share": [1 - float(fit.predict(x)) for x in at],
            "low": [1 - float(ci.loc[x, high]) for x in pick],
            "high": [1 - float(ci.loc[x, low]) for x in pick],
        }
    )
print(json.dumps(out, separators=(",", ":")).replace('},{', '},\n{'))
