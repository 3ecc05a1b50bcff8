package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// plan is a random pipeline: its text, and each step as a function of all rows.
type plan struct {
	text  strings.Builder
	steps []func(rows [][]float32) [][]float32
	used  map[int]bool
	sinks []int
}

const planWidth = 2

// randomPlan makes a pipeline of n steps over the models m0 to m3 (yᵢ = aᵢ·x + bᵢ) and broken, which always fails.
func randomPlan(r *rand.Rand, n int, models [][2]float32) *plan {
	p := &plan{used: map[int]bool{}}
	p.text.WriteString("name: random\nsteps:\n")
	take := func() (string, func([][]float32) [][]float32) {
		k := r.IntN(len(p.steps)+1) - 1
		if k < 0 {
			return "request.x", func(x [][]float32) [][]float32 { return x }
		}
		p.used[k] = true
		return fmt.Sprintf("s%d.y", k), p.steps[k]
	}
	model := func(extra string, broken bool) func([][]float32) [][]float32 {
		m := r.IntN(len(models))
		name := fmt.Sprintf("m%d", m)
		if broken {
			name = "broken"
		}
		ref, of := take()
		fmt.Fprintf(&p.text, "  - {name: s%d, model: %s, inputs: {x: %s}%s}\n", len(p.steps), name, ref, extra)
		a, b := models[m][0], models[m][1]
		return func(x [][]float32) [][]float32 {
			return each(of(x), func(v float32) float32 { return a*v + b })
		}
	}
	for len(p.steps) < n {
		i := len(p.steps)
		var f func([][]float32) [][]float32
		switch kind := r.IntN(10); {
		case kind < 5 || i < 2:
			f = model("", false)
		case kind < 7:
			f = p.mean(r, i)
		case kind < 9:
			f = p.choice(r, i)
		default:
			back := r.IntN(i)
			p.used[back] = true
			model(fmt.Sprintf(", fallback: s%d", back), true)
			f = p.steps[back]
		}
		p.steps = append(p.steps, f)
	}
	p.text.WriteString("outputs:\n")
	for i := range p.steps {
		if !p.used[i] {
			p.sinks = append(p.sinks, i)
			fmt.Fprintf(&p.text, "  y%d: s%d.y\n", i, i)
		}
	}
	return p
}

func each(rows [][]float32, f func(float32) float32) [][]float32 {
	out := make([][]float32, len(rows))
	for i, row := range rows {
		for _, v := range row {
			out[i] = append(out[i], f(v))
		}
	}
	return out
}

func (p *plan) mean(r *rand.Rand, i int) func([][]float32) [][]float32 {
	a, b := r.IntN(i), r.IntN(i) // the request's type may not be known yet
	first, second, f, g := fmt.Sprintf("s%d.y", a), fmt.Sprintf("s%d.y", b), p.steps[a], p.steps[b]
	p.used[a], p.used[b] = true, true
	w := []float64{1, 1}
	by := "by: mean"
	if r.IntN(2) == 0 {
		w = []float64{float64(1 + r.IntN(5)), float64(r.IntN(5))}
		by = fmt.Sprintf("by: weighted, weights: [%v, %v]", w[0], w[1])
	}
	fmt.Fprintf(&p.text, "  - {name: s%d, ensemble: {%s, of: [%s, %s]}}\n", i, by, first, second)
	return func(x [][]float32) [][]float32 {
		a, b := f(x), g(x)
		out := make([][]float32, len(a))
		for row := range a {
			for k := range a[row] {
				out[row] = append(out[row], float32((w[0]*float64(a[row][k])+w[1]*float64(b[row][k]))/(w[0]+w[1])))
			}
		}
		return out
	}
}

func (p *plan) choice(r *rand.Rand, i int) func([][]float32) [][]float32 {
	look, a, b := r.IntN(i), r.IntN(i), r.IntN(i)
	p.used[look], p.used[a], p.used[b] = true, true, true
	limit := float32(r.IntN(40) - 20)
	perRequest := r.IntN(3) == 0
	when := fmt.Sprintf("s%d.y[0] < %.1f", look, limit)
	by := ""
	if perRequest {
		by, when = "by: request, ", fmt.Sprintf("s%d.y.all(v, v[0] < %.1f)", look, limit)
	}
	fmt.Fprintf(&p.text, "  - {name: s%d, switch: {%scases: [{when: '%s', use: s%d}, {use: s%d}]}}\n", i, by, when, a, b)
	seen, yes, no := p.steps[look], p.steps[a], p.steps[b]
	return func(x [][]float32) [][]float32 {
		s, y, n := seen(x), yes(x), no(x)
		if perRequest {
			if slices.ContainsFunc(s, func(row []float32) bool { return !(row[0] < limit) }) {
				return n
			}
			return y
		}
		out := make([][]float32, len(x))
		for row := range x {
			if out[row] = n[row]; s[row][0] < limit {
				out[row] = y[row]
			}
		}
		return out
	}
}

// TestRandomPipelinesAnswerAsTheirDefinitionSays compares pipelines of up to 14 random steps with functions that compute the
// same by hand, one after the other.
func TestRandomPipelinesAnswerAsTheirDefinitionSays(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	models := [][2]float32{{1, 1}, {2, -3}, {-1, 0.5}, {0.5, 4}}
	sessions := map[string]engine.Session{"broken": failing(planWidth)}
	for i, m := range models {
		sessions[fmt.Sprintf("m%d", i)] = affine(planWidth, m[0], m[1])
	}
	w := newWorld(t, serve.Options{}, sessions)
	for range 300 {
		p := randomPlan(r, 1+r.IntN(14), models)
		w.compare(p, r)
		if t.Failed() {
			t.Fatalf("of\n%s", p.text.String())
		}
	}
}

func (w *world) compare(p *plan, r *rand.Rand) {
	w.t.Helper()
	pipe, err := w.make(p.text.String(), nil)
	if err != nil {
		w.t.Errorf("%v", err)
		return
	}
	defer func() { _ = pipe.Close() }()
	w.sessions["random"] = pipe
	w.swap()
	for range 3 {
		n := 1 + r.IntN(6)
		x, flat := make([][]float32, n), []float32{}
		for i := range x {
			for range planWidth {
				x[i] = append(x[i], float32(r.IntN(41)-20)/2)
			}
			flat = append(flat, x[i]...)
		}
		answer, err := w.predict(w.t.Context(), "random", serve.Input{Tensors: []fairlead.Tensor{rows("x", planWidth, flat...)}})
		if err != nil {
			w.t.Errorf("%v", err)
			return
		}
		for _, sink := range p.sinks {
			want := slices.Concat(p.steps[sink](x)...)
			got := fairlead.Find(answer.Outputs, fmt.Sprintf("y%d", sink))
			if got == nil || !slices.Equal(got.Data.([]float32), want) {
				w.t.Errorf("y%d of %v is %v, want %v", sink, x, got, want)
			}
		}
	}
}
