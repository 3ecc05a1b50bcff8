package estimate

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"
)

type golden struct {
	CBPE struct {
		P           []float64 `json:"p"`
		Threshold   float64   `json:"threshold"`
		TP          float64   `json:"tp"`
		FP          float64   `json:"fp"`
		FN          float64   `json:"fn"`
		TN          float64   `json:"tn"`
		Accuracy    float64   `json:"accuracy"`
		Precision   float64   `json:"precision"`
		Recall      float64   `json:"recall"`
		Specificity float64   `json:"specificity"`
		F1          float64   `json:"f1"`
		AUROC       float64   `json:"auroc"`
		AP          float64   `json:"average_precision"`
	} `json:"cbpe_binary"`
	Multi struct {
		Raw       [][]float64 `json:"calibrated_one_vs_rest"`
		Want      [][]float64 `json:"renormalised"`
		Predicted []int       `json:"predicted"`
		Accuracy  float64     `json:"accuracy"`
	} `json:"cbpe_multiclass"`
	PAV []struct {
		X      []float64          `json:"x"`
		Y      []float64          `json:"y"`
		W      []float64          `json:"w"`
		Fitted []float64          `json:"fitted"`
		At     map[string]float64 `json:"at"`
	} `json:"isotonic_pav"`
	PAPE struct {
		S     []float64 `json:"s"`
		Ref   int       `json:"n_ref"`
		Chunk int       `json:"n_chunk"`
		W     []float64 `json:"w"`
	} `json:"pape_weights"`
	Segments struct {
		Accuracy []float64 `json:"reference_accuracy"`
		Share    []float64 `json:"current_share"`
		Want     float64   `json:"estimate"`
	} `json:"segment_accuracy"`
	HT struct {
		Y          []float64 `json:"y"`
		Pi         []float64 `json:"pi"`
		Population float64   `json:"population"`
		HT         float64   `json:"ht_mean"`
		Hajek      float64   `json:"hajek_mean"`
		Kish       float64   `json:"kish_effective_n"`
	} `json:"horvitz_thompson"`
	Active struct {
		F        []float64  `json:"f"`
		Labelled []int      `json:"labelled"`
		Pi       []float64  `json:"pi"`
		Y        []*float64 `json:"y"`
		Theta    float64    `json:"theta"`
	} `json:"active_inference_mean"`
	PPI struct {
		Y          []float64 `json:"y"`
		Labelled   []float64 `json:"f_labelled"`
		Unlabelled []float64 `json:"f_unlabelled"`
		Classical  ppi       `json:"classical"`
		PPI        ppi       `json:"ppi"`
		Tuned      ppi       `json:"tuned"`
		Fixed      ppi       `json:"fixed_0_4"`
	} `json:"ppi_mean"`
}

type ppi struct {
	Lambda float64    `json:"lambda_"`
	Theta  float64    `json:"theta"`
	SE     float64    `json:"se"`
	CI90   [2]float64 `json:"ci90"`
}

func load(t *testing.T) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*math.Abs(want)+1e-12) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestGoldenBinary(t *testing.T) {
	g := load(t).CBPE
	rows := make([]Row, len(g.P))
	for i, p := range g.P {
		rows[i] = Row{Score: p, Probability: p, Predicted: p >= g.Threshold}
	}
	e := EstimateBinary(rows, 0, 0.95)
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"TP", e.TP, g.TP}, {"FP", e.FP, g.FP}, {"FN", e.FN, g.FN}, {"TN", e.TN, g.TN}, {"accuracy", e.Accuracy.Value, g.Accuracy},
		{"precision", e.Precision.Value, g.Precision}, {"recall", e.Recall.Value, g.Recall}, {"specificity", e.Specificity.Value, g.Specificity},
		{"F1", e.F1.Value, g.F1}, {"AUROC", e.AUROC.Value, g.AUROC}, {"average precision", e.AveragePrecision.Value, g.AP},
	} {
		near(t, c.name, c.got, c.want)
	}
}

func TestGoldenMulticlass(t *testing.T) {
	g := load(t).Multi
	for i, row := range g.Raw {
		Normalise(row)
		for c := range row {
			near(t, "renormalised", row[c], g.Want[i][c])
		}
	}
	near(t, "accuracy", EstimateMulticlass(g.Raw, g.Predicted, 3, 0, 0.95).Accuracy.Value, g.Accuracy)
}

func TestGoldenIsotonic(t *testing.T) {
	for i, g := range load(t).PAV {
		f := FitIsotonic(g.X, g.Y, g.W)
		for j, x := range g.X {
			near(t, "fitted "+strconv.Itoa(i), f.At(x), g.Fitted[j])
		}
		for at, want := range g.At {
			x, err := strconv.ParseFloat(at, 64)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "at "+at, f.At(x), want)
		}
	}
}

func TestGoldenWeightsAndMeans(t *testing.T) {
	g := load(t)
	for i, s := range g.PAPE.S {
		near(t, "weight", ShiftWeight(s, g.PAPE.Ref, g.PAPE.Chunk), g.PAPE.W[i])
	}
	near(t, "segments", SegmentMean(g.Segments.Accuracy, g.Segments.Share), g.Segments.Want)
	near(t, "Horvitz-Thompson", HorvitzThompson(g.HT.Y, g.HT.Pi, g.HT.Population), g.HT.HT)
	near(t, "Hájek", Hajek(g.HT.Y, g.HT.Pi), g.HT.Hajek)
	weights := make([]float64, len(g.HT.Pi))
	for i, p := range g.HT.Pi {
		weights[i] = 1 / p
	}
	near(t, "Kish", Kish(weights), g.HT.Kish)

	labelled, y := make([]bool, len(g.Active.F)), make([]float64, len(g.Active.F))
	for i, l := range g.Active.Labelled {
		if labelled[i] = l == 1; labelled[i] {
			y[i] = *g.Active.Y[i]
		}
	}
	near(t, "active inference", ActiveMean(g.Active.F, labelled, g.Active.Pi, y).Value, g.Active.Theta)
}

func TestGoldenPPI(t *testing.T) {
	g := load(t).PPI
	for name, want := range map[string]ppi{"classical": g.Classical, "ppi": g.PPI, "tuned": g.Tuned, "fixed": g.Fixed} {
		lambda := &want.Lambda
		if name == "tuned" {
			lambda = nil
		}
		got := PPI(g.Y, g.Labelled, g.Unlabelled, lambda)
		near(t, name+" lambda", got.Lambda, want.Lambda)
		near(t, name+" theta", got.Value, want.Theta)
		near(t, name+" se", got.SE, want.SE)
		z := math.Sqrt2 * math.Erfinv(0.9)
		near(t, name+" low", got.Value-z*got.SE, want.CI90[0])
		near(t, name+" high", got.Value+z*got.SE, want.CI90[1])
	}
}
