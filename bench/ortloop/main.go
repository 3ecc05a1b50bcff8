// Command ortloop is the limit of what a server on ONNX Runtime can do: runs of one row, one after the other on each of
// so many threads, without a server. It prints {"runs_per_second": N}.
//
//	ortloop LIBRARY MODEL THREADS DURATION
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/internal/loadgen"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ortloop:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: ortloop LIBRARY MODEL THREADS DURATION")
	}
	threads, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	model, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	rt, err := ort.Open(args[0])
	if err != nil {
		return err
	}
	session, err := rt.Load(model, ort.Options{})
	if err != nil {
		return err
	}
	in, err := inputs(session.Signature())
	if err != nil {
		return err
	}
	if _, err := session.Run(context.Background(), in, nil); err != nil { // the first run is slower
		return err
	}
	var runs atomic.Int64
	var failed atomic.Value
	var workers sync.WaitGroup
	began := time.Now()
	for range threads {
		workers.Go(func() {
			for time.Since(began) < duration {
				if _, err := session.Run(context.Background(), in, nil); err != nil {
					failed.Store(err)
					return
				}
				runs.Add(1)
			}
		})
	}
	workers.Wait()
	took := time.Since(began)
	if err, ok := failed.Load().(error); ok {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{"runs_per_second": float64(runs.Load()) / took.Seconds()})
}

func inputs(sig fairlead.Signature) ([]fairlead.Tensor, error) {
	m := loadgen.Model{Name: "the model"}
	for _, in := range sig.Inputs {
		m.Inputs = append(m.Inputs, loadgen.Spec{Name: in.Name, Datatype: in.Type, Shape: in.Shape})
	}
	return loadgen.MakeInputs(&m, 1, rand.New(rand.NewPCG(1, 1)))
}
