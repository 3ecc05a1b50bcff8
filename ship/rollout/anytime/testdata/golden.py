"""Reference values for package anytime, computed another way than the package does: integrals by quadrature, fits by a
general optimiser, the jackknife by leaving cells out, quantiles by scipy. Run: python golden.py > golden.json"""
import json

import numpy as np
from scipy import integrate, optimize, special, stats

out = {}


def log_integral(log_f, lo, hi, points):
    """ln of the integral of exp(log_f), scaled at the largest value on a grid."""
    grid = np.linspace(lo, hi, 200001)[1:-1]
    values = log_f(grid)
    top, peak = values.max(), grid[values.argmax()]
    value, _ = integrate.quad(lambda x: np.exp(log_f(np.array([x]))[0] - top), lo, hi,
                              points=sorted({*points, peak}), limit=2000, epsabs=0, epsrel=1e-11)
    return top + np.log(value)


# Mixture SPRT: the likelihood ratio of d ~ N(theta, v) against theta = 0, mixed over theta ~ N(0, tau^2) or its upper half.
cases = []
for d, v, tau in [(0.01, 2e-5, 0.0025), (0.0, 1e-4, 0.01), (-0.02, 1e-4, 0.01), (0.5, 0.01, 0.2), (3.0, 1.0, 1.0), (-4.0, 0.5, 1.0)]:
    s = np.sqrt(v)
    log_ratio = lambda t: (t * d - t * t / 2) / v + stats.norm.logpdf(t, 0, tau)
    wide = 12 * max(tau, s) + abs(d)
    two = log_integral(log_ratio, -wide, wide, [0])
    above = np.log(2) + log_integral(log_ratio, 0, wide, [])
    half = optimize.brentq(lambda h: 0.5 * np.log(v / (v + tau**2)) + tau**2 * h * h / (2 * v * (v + tau**2)) - np.log(20), 0, 1e3)
    cases.append(dict(d=d, v=v, tau=tau, two=two, above=above, half05=half))
out["lambda"] = cases

# Mixture over a beta prior cut at p0.
cases = []
for k, n, p0 in [(0, 10, .01), (3, 40, .02), (30, 1000, .02), (5, 1000, .02), (120, 200, .5), (2.5, 30.25, .1), (0, 500, .01)]:
    a, b = 1.0, (1 - p0) / p0
    log_ratio = lambda p: k * np.log(p / p0) + (n - k) * np.log((1 - p) / (1 - p0)) + stats.beta.logpdf(p, a, b)
    cases.append(dict(k=k, n=n, p0=p0,
                      two=log_integral(log_ratio, 0, 1, [p0]),
                      above=log_integral(log_ratio, p0, 1, []) - stats.beta.logsf(p0, a, b),
                      below=log_integral(log_ratio, 0, p0, []) - stats.beta.logcdf(p0, a, b)))
out["share"] = cases

# Two rates.
HARM = ([0.125, 0.25, 0.5, 1, 2, 5, 20, 100], [0.03, 0.08, 0.20, 0.34, 0.20, 0.09, 0.04, 0.02])
SAFE = ([0.25, 0.5, 1, 2], [0.10, 0.25, 0.45, 0.20])


def log_likelihood(ka, na, kb, nb, pa, pb):
    return float(sum(special.xlogy(x, p) for x, p in [(ka, pa), (na - ka, 1 - pa), (kb, pb), (nb - kb, 1 - pb)]))


def two_rates(ka, na, kb, nb, offset, slope, unit):
    w = na / (na + nb)
    lo, hi = max(0, -offset / slope), min(1, (1 - offset) / slope)
    fit = optimize.minimize_scalar(lambda b: -log_likelihood(ka, na, kb, nb, offset + slope * b, b),
                                   bounds=(lo + 1e-12, hi - 1e-12), method="bounded", options=dict(xatol=1e-14, maxiter=2000))
    qb = fit.x
    qa = offset + slope * qb
    base = log_likelihood(ka, na, kb, nb, qa, qb)
    va, vb = qa * (1 - qa) / (w * slope), qb * (1 - qb) / (1 - w)
    top = (1 - qa) / va

    def mixed(shifts, weights):
        return float(special.logsumexp([log_likelihood(ka, na, kb, nb, qa + s * va, qb - s * vb) - base for s in shifts], b=weights))

    ups = []
    for step in HARM[0]:
        # the shift at which the canary's rate is 1+step times the limit at the shifted live rate
        s = optimize.brentq(lambda s: qa + s * va - (1 + step) * (offset + slope * (qb - s * vb)), 0, 10 * (qa + 1) / (va + 1e-300))
        ups.append(min(s * top / (s + top), 0.999 * qb / vb))
    downs = [-min(step * unit / (va + slope * vb), 0.999 * min(qa / va, (1 - qb) / vb)) for step in SAFE[0]]
    # every alternative's closest point on the line is (qa, qb)
    for s in ups + downs:
        ta, tb = qa + s * va, qb - s * vb
        cross = lambda b: -(w * (special.xlogy(ta, offset + slope * b) + special.xlogy(1 - ta, 1 - offset - slope * b))
                            + (1 - w) * (special.xlogy(tb, b) + special.xlogy(1 - tb, 1 - b)))
        nearest = optimize.minimize_scalar(cross, bounds=(lo + 1e-12, hi - 1e-12), method="bounded", options=dict(xatol=1e-14)).x
        assert abs(nearest - qb) < 1e-6, (nearest, qb)
    return mixed(ups, HARM[1]), mixed(downs, SAFE[1])


cases = []
for ka, na, kb, nb, offset, slope, unit in [
    (12, 600, 54, 5400, 0, 1, .0025), (6, 600, 54, 5400, .0025, 1, .0025), (6, 600, 54, 5400, 0, 1.25, .0025),
    (300, 1000, 250, 1000, 0, 1, .05), (300, 1000, 250, 1000, .1, 1, .1), (40, 50, 20, 450, 0, 1, .02),
    (5, 60, 1, 5940, .002, 1, .002), (3.5, 100.25, 9.5, 900.75, 0, 1.5, .01)]:
    harm, safe = two_rates(ka, na, kb, nb, offset, slope, unit)
    cases.append(dict(ka=ka, na=na, kb=kb, nb=nb, offset=offset, slope=slope, unit=unit, harm=harm, safe=safe))
out["rates"] = cases

# Jackknife of a ratio.
rng = np.random.default_rng(7)
cases = []
for m in (5, 40):
    n = rng.integers(1, 50, m).astype(float)
    n[0] = 200
    y = rng.binomial(n.astype(int), .2).astype(float)
    leave = np.array([(y.sum() - y[i]) / (n.sum() - n[i]) for i in range(m)])
    mean = y.sum() / n.sum()
    cases.append(dict(n=n.tolist(), y=y.tolist(), mean=mean, variance=(m - 1) / m * float(((leave - mean) ** 2).sum())))
out["jackknife"] = cases

# Widening by Student's distribution.
out["student"] = [dict(freedom=f, alpha=a, factor=float(stats.t.isf(stats.norm.sf(np.sqrt(2 * np.log(1 / a))), f) ** 2 / (2 * np.log(1 / a))))
                  for f in (2, 5, 10, 30, 255) for a in (.05, .01, .001)]

# Hedged capital, in the plain form of the paper: hypotheses one by one.
x = rng.beta(2, 6, 300)
alpha = .05
low, high = 1.0, 0.0
for i in range(201):
    m = i / 200
    up = down = 1.0
    spread, total, rejected = .25, 0.0, False
    for t, value in enumerate(x, 1):
        bet = np.sqrt(2 * np.log(2 / alpha) / (spread / t * t * np.log(1 + t)))
        up *= 1 + min(bet, .5 / m if m else np.inf) * (value - m)
        down *= 1 - min(bet, .5 / (1 - m) if m < 1 else np.inf) * (value - m)
        rejected |= max(up, down) / 2 >= 1 / alpha
        total += value
        spread += (value - (.5 + total) / (t + 1)) ** 2
    if not rejected:
        low, high = min(low, m), max(high, m)
out["betting"] = dict(x=x.tolist(), alpha=alpha, low=low - .005, high=high + .005)

# Chi-squared of a sample ratio.
out["chi"] = [dict(k=k, n=n, w=w, stat=float((k - n * w) ** 2 / (n * w * (1 - w))), p=float(stats.chi2.sf((k - n * w) ** 2 / (n * w * (1 - w)), 1)))
              for k, n, w in [(5300, 100000, .05), (4950, 100000, .05), (50500, 100000, .5)]]
print(json.dumps(out, indent=1))
