// Package anytime holds the statistics of a rollout: tests and intervals for two arms of a split that stay valid however
// often and whenever somebody looks, and stops. Everything is a pure function of counts and sums since the split began.
//
// A test gives an e-value, the wealth of a bettor against a hypothesis that cannot be made to grow if the hypothesis is
// true: the probability that it ever reaches 1/α is at most α (Ville). So a rule "stop as soon as LogE ≥ ln(1/α)" errs with
// probability α at most over all looks together, and what was shown once stays shown. E-values of several looks, replicas or
// windows are never recomputed from parts: counts are added, and the test is a function of the totals.
//
// Higher is worse throughout. For an outcome where higher is better give the complement (N − Sum for shares, −Sum for means).
//
// The unit of chance is the routing key, because a key stays in its arm. Keys are hashed into cells, a [Cell] holds the
// requests of its keys, and the spread between cells gives the variance with whatever a key's requests have in common in
// it. A design effect D is that variance over the one of independent requests; tests by counts see the counts divided by D
// (Rao and Scott 1992).
//
// What is exact and what is not: [Tolerated], [QuantileBounds], [Betting], [Distributions] and [Ratio] keep their level at
// every sample size if units are independent. [Rates] is exact for rare events and replaces the rate of the live arm, a
// nuisance, by its estimate elsewhere; [Means] uses an estimated variance and is a large-sample test; so is everything with
// a design effect above 1: where one key carries 40 % of the traffic and the canary has ten keys, [Rates] found harm where
// there was none in 3 % of simulated rollouts at a level of 1 %, against 30 % with requests taken as independent.
//
// Counts are compared over the whole split: the shares of the traffic have to stay as they are while it is counted. A stage
// with another weight counts anew, with its own part of the error probability ([Spend], [SpendOnce]).
package anytime
