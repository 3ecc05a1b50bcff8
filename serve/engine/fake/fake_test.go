package fake_test

import (
	"context"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/enginetest"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
)

func x(rows int64, data ...float32) []fairlead.Tensor {
	return []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{rows, 2}, Data: data}}
}

func TestConformance(t *testing.T) {
	y := x(2, 1, 2, 3, 4)
	y[0].Name = "y"
	enginetest.Run(t, enginetest.Suite{
		Goldens: []enginetest.Golden{{
			Name: "echo",
			Open: func(*testing.T) engine.Session { return fake.Echo(2) },
			In:   x(2, 1, 2, 3, 4),
			Want: y,
		}},
		Slow: &enginetest.Golden{
			Name: "wait",
			Open: func(*testing.T) engine.Session {
				return fake.New(fake.Echo(2).Signature(), func(ctx context.Context, _ []fairlead.Tensor) ([]fairlead.Tensor, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				})
			},
			In: x(1, 1, 2),
		},
	})
}
