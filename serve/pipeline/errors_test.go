package pipeline_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/pipeline"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// mistakes are definitions with one thing wrong each.
var mistakes = []string{
	"",
	"name: P",
	"name: p\nstep: []",
	"name: p\nkind: deployment",
	"name: p\nsteps: []",
	"name: p\nsteps:\n  - {name: a, modle: m}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: A-b, model: m}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: request, model: m}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: a, model: m}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m, ensemble: {by: mean, of: [x, y]}}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m}",
	"name: p\nsteps:\n  - {name: a, model: m}\noutputs: {y: {form: a}}",
	"name: p\nsteps:\n  - {name: a, model: m}\noutputs: {y: b.y}",
	"name: p\nsteps:\n  - {name: first, model: m}\noutputs: {y: frist.y}",
	"name: p\nsteps:\n  - {name: a, model: m}\noutputs: {y: a.z}",
	"name: p\nsteps:\n  - {name: a, model: m}\noutputs: {y: x}",
	"name: p\nsteps:\n  - {name: a, model: absent}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m@7}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m, inputs: {z: x}}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: two, inputs: {left: x}}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: wide, inputs: {x: a.y}}\noutputs: {y: b}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: words, inputs: {text: a.y}}\noutputs: {y: b}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: wide}\n  - {name: e, ensemble: {by: mean, of: [a.y, b.y]}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: words}\n  - {name: e, ensemble: {by: mean, of: [a.y, b.class]}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: a, model: words}\n  - {name: b, model: words}\n  - {name: e, ensemble: {by: mean, of: [a.class, b.class]}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: m}\n  - {name: e, ensemble: {by: vote, of: [a.y, b.y]}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: m}\n  - {name: e, ensemble: {by: weighted, of: [a.y, b.y], weights: [1]}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: m}\n  - {name: e, ensemble: {by: weighted, of: [a.y, b.y], weights: [0, 0]}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: m}\n  - {name: e, ensemble: {by: stacked, of: [a.y, b.y], model: wide}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: e, ensemble: {by: average, of: [a.y, a.y]}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: e, ensemble: {by: mean, of: [x, z]}}\noutputs: {y: e}",
	"name: p\nsteps:\n  - {name: a, model: m, inputs: {x: b.y}}\n  - {name: b, model: m, inputs: {x: c.y}}\n  - {name: c, model: m, inputs: {x: a.y}}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: m}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m, fallback: a}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m, fallback: b}\n  - {name: b, model: words}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m, fallback: b}\n  - {name: b, model: wide}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m, within: -1s}\noutputs: {y: a}",
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: words, inputs: {text: x}}\n  - {name: e, ensemble: {by: mean, of: [a.y, a.y]}}\noutputs: {y: e, z: b.class}",
	"name: p\ninputs: [{name: xx, datatype: FP32, shape: [-1, 1]}]\nsteps:\n  - {name: a, model: m}\noutputs: {y: a}",
	"name: p\ninputs: [{name: x, datatype: FLOAT, shape: [-1, 1]}]\nsteps:\n  - {name: a, model: m}\noutputs: {y: a}",
	"name: p\ninputs: [{name: x, datatype: INT64, shape: [-1, 1]}]\nsteps:\n  - {name: a, model: m}\noutputs: {y: a}",
	two("a.y < 3"), two("a.z < 3.0"), two("a.y + 1.0"), two("a.y <"), two("nosuch.y < 3.0"), two("meta.tag == 'x'"),
	strings.Replace(two("a.y < 3.0"), "{use: b}", "{when: 'true', use: b}", 1),
	strings.Replace(two("a.y < 3.0"), "{use: b}", "{use: bb}", 1),
	strings.Replace(two("a.y < 3.0"), "switch: {", "switch: {by: batch, ", 1),
	"name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: words}\n  - {name: s, switch: {cases: [{when: 'rows > 1', use: a}, {use: b}]}}\noutputs: {y: s}",
	"name: p\nsteps:\n  - {name: s, switch: {cases: [{when: 's.y > 1.0', use: a}, {use: b}]}}\n  - {name: a, model: m}\n  - {name: b, model: m}\noutputs: {y: s}",
	"name: p\nsteps:\n  - {name: t, transform: {module: ../x.wasm}}\noutputs: {y: t}",
	"name: p\nsteps:\n  - {name: t, transform: {module: x.wasm}}\noutputs: {y: t}",
	"name: p\nsteps:\n  - {name: t, transform: {module: x.wasm, memory: 3 tons}}\noutputs: {y: t}",
	"name: p\nsteps:\n  - {name: t, process: {command: []}}\noutputs: {y: t}",
	"name: p\nsteps:\n  - {name: t, process: {command: [a], listen: pipe}}\noutputs: {y: t}",
}

func two(when string) string {
	return "name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: m}\n  - {name: s, switch: {cases: [{when: \"" + when + "\", use: a}, {use: b}]}}\noutputs: {y: s}"
}

// TestMistakesAreExplained keeps what is said about each mistake as a text that can be read.
func TestMistakesAreExplained(t *testing.T) {
	words := fake.New(fairlead.Signature{
		Inputs: []fairlead.TensorSpec{spec("text", fairlead.Bytes, -1, 1)}, Outputs: []fairlead.TensorSpec{spec("class", fairlead.Int64, -1)},
	}, nil)
	both := fake.New(fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{spec("left", fairlead.FP32, -1, 1), spec("right", fairlead.FP32, -1, 3)},
		Outputs: []fairlead.TensorSpec{spec("y", fairlead.FP32, -1, 1)},
	}, nil)
	w := newWorld(t, serve.Options{}, map[string]engine.Session{"m": affine(1, 1, 0), "wide": affine(3, 1, 0), "words": words, "two": both})
	var story strings.Builder
	for _, text := range mistakes {
		p, err := w.make(text, nil)
		if err == nil {
			t.Errorf("no mistake was found in\n%s", text)
			_ = p.Close()
			continue
		}
		if code := fairlead.CodeOf(err); code != fairlead.CodeInvalid && code != fairlead.CodeNotFound {
			t.Errorf("%s\n%s: %v", text, code, err)
		}
		fmt.Fprintf(&story, "%s\n⇒ %s\n\n", text, strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	const golden = "testdata/mistakes.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(story.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if story.String() != string(want) {
		t.Errorf("run with -update and read the difference\n%s", story.String())
	}
}

func FuzzParseFile(f *testing.F) {
	for _, text := range mistakes {
		f.Add([]byte(text))
	}
	f.Add([]byte("name: p\nsteps:\n  - {name: a, model: m@champion, within: 20ms, fallback: b}\n  - {name: b, process: {command: [x], listen: port}}\noutputs: {y: {from: a.y, role: score}}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		def, err := pipeline.ParseFile(b)
		if err != nil {
			if fairlead.CodeOf(err) != fairlead.CodeInvalid {
				t.Errorf("%T %v", err, err)
			}
			return
		}
		if def.Name == "" || len(def.Steps) == 0 || len(def.Outputs) == 0 {
			t.Errorf("%+v", def)
		}
	})
}
