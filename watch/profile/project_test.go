package profile_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

var words = map[string][]string{
	"en": strings.Fields("the flight was late and nobody at the gate told us why it had left before our bags were on board thank you for your quick help with my seat"),
	"de": strings.Fields("die Verspätung wurde nicht angekündigt und für die Übernachtung gab es keine Entschädigung außer Gutscheinen während Anschlussflüge längst gestrichen waren"),
	"ru": strings.Fields("рейс задержали на четыре часа и никто ничего не сказал багаж потеряли спасибо за помощь"),
}

func texts(r *rand.Rand, language string, rows int) []string {
	out := make([]string, rows)
	for i := range out {
		said := make([]string, 4+r.IntN(30))
		for j := range said {
			said[j] = words[language][r.IntN(len(words[language]))]
		}
		out[i] = fmt.Sprintf("%s %d", strings.Join(said, " "), r.IntN(1000))
	}
	return out
}

// vectors are rows × width values about a mean, and the projections that a user writes into the reference.
func vectors(r *rand.Rand, rows, width int, mean float64) (fairlead.Tensor, []fairlead.TableColumn) {
	data := make([]float32, rows*width)
	columns := []fairlead.TableColumn{{Name: "image.mean"}, {Name: "image.std"}, {Name: "image.norm"}}
	for i := range rows {
		light := mean + 0.05*r.NormFloat64()
		var sum, squares, off float64
		row := data[i*width : (i+1)*width]
		for j := range row {
			row[j] = float32(light + 0.2*r.NormFloat64())
			sum, squares = sum+float64(row[j]), squares+float64(row[j])*float64(row[j])
		}
		for _, x := range row {
			off += (float64(x) - sum/float64(width)) * (float64(x) - sum/float64(width))
		}
		for k, x := range []float64{sum / float64(width), math.Sqrt(off / float64(width)), math.Sqrt(squares)} {
			columns[k].Floats = append(columns[k].Floats, x)
		}
	}
	return fairlead.Tensor{Name: "image", Type: fairlead.FP32, Shape: []int64{int64(rows), int64(width)}, Data: data}, columns
}

var (
	comment = fairlead.Field{Name: "comment", Tensor: "comment", Type: fairlead.Bytes}
	image   = fairlead.TensorSpec{Name: "image", Type: fairlead.FP32, Shape: []int64{-1, 3, 8, 8}}
)

const imageWidth = 3 * 8 * 8

func learnProjections(t *testing.T, r *rand.Rand) *profile.Reference {
	t.Helper()
	_, columns := vectors(r, 4000, imageWidth, 0.5)
	table := &fairlead.Table{Rows: 4000, Columns: append(columns, fairlead.TableColumn{Name: "comment", Strings: texts(r, "en", 4000)})}
	ref, err := profile.Learn([]fairlead.Field{comment}, table, profile.Options{Inputs: []fairlead.TensorSpec{image}})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func live(r *rand.Rand, language string, light float64, rows int) *fairlead.Prediction {
	pixels, _ := vectors(r, rows, imageWidth, light)
	said := fairlead.Tensor{Name: "comment", Type: fairlead.Bytes, Shape: []int64{int64(rows), 1}, Data: texts(r, language, rows)}
	return &fairlead.Prediction{Rows: make([]fairlead.RowMeta, rows), Inputs: []fairlead.Tensor{pixels, said}}
}

// moved are the columns whose debiased PSI is over the customary 0.2.
func moved(ref *profile.Reference, c *profile.Counts) (names []string) {
	for i := range ref.Layout.Columns {
		m := drift.Measure(ref.Total.AlertBins(ref.Layout, i), c.AlertBins(ref.Layout, i), ref.Total.FineBins(ref.Layout, i), c.FineBins(ref.Layout, i), c.N, ref.Total.N)
		if m.PSIDebiased > 0.2 {
			names = append(names, ref.Layout.Columns[i].Name)
		}
	}
	return names
}

func TestAChangedLanguageAndDarkerImagesAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 26))
	ref := learnProjections(t, r)
	for _, c := range []struct {
		language string
		light    float64
		must     []string // have moved
		may      []string // begin the names of all that have
	}{
		{"de", 0.5, []string{"comment.non_ascii", "comment.word_length"}, []string{"comment."}},
		{"ru", 0.5, []string{"comment.non_ascii"}, []string{"comment."}},
		{"en", 0.4, []string{"image.mean", "image.norm"}, []string{"image."}},
	} {
		counts := profile.NewCounts(ref.Layout)
		counts.Add(ref.Layout, live(r, c.language, c.light, 1000), nil)
		got := moved(ref, counts)
		for _, name := range c.must {
			if !slices.Contains(got, name) {
				t.Errorf("%s at %v: %v moved, expected %s", c.language, c.light, got, name)
			}
		}
		for _, name := range got {
			if !strings.HasPrefix(name, c.may[0]) {
				t.Errorf("%s at %v: %s moved", c.language, c.light, name)
			}
		}
	}
}

// Two hundred windows like the reference: none has a column over the threshold.
func TestUnchangedTextsAndImagesRaiseNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 27))
	ref := learnProjections(t, r)
	for range 200 {
		counts := profile.NewCounts(ref.Layout)
		counts.Add(ref.Layout, live(r, "en", 0.5, 500), nil)
		if got := moved(ref, counts); got != nil {
			t.Fatalf("%v moved", got)
		}
		if n := counts.Unseen(ref.Layout, 0); n > 0 {
			t.Fatalf("unseen share %v of texts that never repeat", n)
		}
	}
}

// The reference's table and live tensors of the same rows give the same counts, in any split, and after a round trip.
func TestProjectionsOfATableAndOfTensorsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 28))
	learned := learnProjections(t, r)
	b, err := learned.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := profile.ParseReference(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := ref.MarshalBinary(); !bytes.Equal(b, again) {
		t.Error("the reference changed on its way")
	}
	p := live(r, "de", 0.5, 900)
	whole, parts := profile.NewCounts(ref.Layout), profile.NewCounts(ref.Layout)
	whole.Add(ref.Layout, p, nil)
	order := r.Perm(900)
	for from := 0; from < 900; from += 100 {
		part := profile.NewCounts(ref.Layout)
		part.Add(ref.Layout, p, order[from:from+100])
		if err := parts.Merge(part); err != nil {
			t.Fatal(err)
		}
	}
	if w, _ := whole.MarshalBinary(); !bytes.Equal(w, must(parts.MarshalBinary())) {
		t.Error("the parts do not add up to the whole")
	}
	table := profile.NewCounts(ref.Layout)
	table.AddTable(ref.Layout, &fairlead.Table{Rows: 900, Columns: []fairlead.TableColumn{{Name: "comment", Strings: p.Inputs[1].Data.([]string)}}}, 0, 900)
	for i, c := range ref.Layout.Columns {
		if strings.HasPrefix(c.Name, "comment") && !slices.Equal(table.Columns[i].Slots, whole.Columns[i].Slots) {
			t.Errorf("%s: %v of the table, %v of the tensor", c.Name, table.Columns[i].Slots, whole.Columns[i].Slots)
		}
		if strings.HasPrefix(c.Name, "image") && table.Columns[i].Null != 900 {
			t.Errorf("%s: %d nulls without a column", c.Name, table.Columns[i].Null)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// What is counted of a text is what a person counts.
func TestProjectionsOfAText(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 29))
	ref := learnProjections(t, r)
	for text, want := range map[string][]float64{
		"":               {0, 0, 0, 0, 0, 0},
		" \t":            {2, 0, 0, 0, 0, 0},
		"gate 12":        {7, 4. / 7, 2. / 7, 0, 2, 3},
		"Tür zu!":        {7, 5. / 7, 0, 1. / 7, 2, 3},
		"рейс\u00a0٣":    {6, 4. / 6, 1. / 6, 1, 2, 2.5},
		"\xff\xfe broke": {8, 5. / 8, 0, 2. / 8, 2, 3.5},
	} {
		c := profile.NewCounts(ref.Layout)
		c.AddTable(ref.Layout, &fairlead.Table{Rows: 1, Columns: []fairlead.TableColumn{{Name: "comment", Strings: []string{text}}}}, 0, 1)
		for i, p := range []string{"length", "letters", "digits", "non_ascii", "words", "word_length"} {
			col := slices.IndexFunc(ref.Layout.Columns, func(c profile.Column) bool { return c.Name == "comment."+p })
			if col < 0 {
				t.Fatalf("no column comment.%s", p)
			}
			if got, ok := c.Mean(col); !ok || math.Abs(got-want[i]) > 1e-6 {
				t.Errorf("%q: %s is %v, want %v", text, p, got, want[i])
			}
		}
	}
}

// Identifiers, codes and few texts are counted by value, as they were before there were projections.
func TestOnlyFreeTextIsProjected(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 30))
	ids, few := make([]string, 1000), texts(r, "en", 5)
	said := make([]string, 1000)
	for i := range ids {
		ids[i], said[i] = fmt.Sprintf("%08x-%d", r.Uint32(), i), few[r.IntN(5)]
	}
	fields := []fairlead.Field{{Name: "id", Type: fairlead.Bytes}, {Name: "said", Type: fairlead.Bytes}}
	ref, err := profile.Learn(fields, &fairlead.Table{Rows: 1000, Columns: []fairlead.TableColumn{{Name: "id", Strings: ids}, {Name: "said", Strings: said}}}, profile.Options{})
	if err != nil || len(ref.Layout.Columns) != 2 {
		t.Fatalf("%d columns, %v", len(ref.Layout.Columns), err)
	}
}

func BenchmarkProjections(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 31))
	said := texts(r, "en", 4000)
	ref, err := profile.Learn([]fairlead.Field{comment}, &fairlead.Table{Rows: 4000, Columns: []fairlead.TableColumn{{Name: "comment", Strings: said}}}, profile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	p := live(r, "en", 0.5, 256)
	c := profile.NewCounts(ref.Layout)
	for b.Loop() {
		c.Add(ref.Layout, p, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/text")
}

func BenchmarkProjectionsOfImages(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 32))
	_, columns := vectors(r, 1000, 12, 0.5)
	ref, err := profile.Learn(nil, &fairlead.Table{Rows: 1000, Columns: columns}, profile.Options{Inputs: []fairlead.TensorSpec{image}})
	if err != nil {
		b.Fatal(err)
	}
	const width = 3 * 224 * 224
	pixels, _ := vectors(r, 4, width, 0.5)
	p := &fairlead.Prediction{Rows: make([]fairlead.RowMeta, 4), Inputs: []fairlead.Tensor{pixels}}
	c := profile.NewCounts(ref.Layout)
	for b.Loop() {
		c.Add(ref.Layout, p, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4/width, "ns/value")
}
