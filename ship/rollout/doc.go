// Package rollout decides how far a new version of a model may go: a state machine over a policy, which is data, and
// what was observed. It decides and never acts: no clock, no chance, no I/O; the caller stores the state it returns and
// then does what the decisions say.
//
// A stage ends on evidence. Each gate compares the canary with the live version in the same window and says one of three
// things: harm shown (roll back), non-inferior within its margin (may go on), or not enough data (stay). The tests stay
// valid under continuous looking, see package anytime; Policy.Budget bounds the probability that a harmless version is
// rolled back in the whole rollout, whatever the number of looks, gates, segments and restarts.
package rollout
