package e2e

import (
	bin "encoding/binary"
	"math"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead/api/oip"
)

// TestSameAnswerOverGRPC asks the real binary over both transports: the answers agree, and both are recorded.
func TestSameAnswerOverGRPC(t *testing.T) {
	address := freePort(t)
	p := start(t, t.TempDir(), freePort(t), "serve", "--grpc", address)
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := oip.NewGRPCInferenceServiceClient(conn)
	ready, err := c.ModelReady(t.Context(), &oip.ModelReadyRequest{Name: "flights"})
	if err != nil || !ready.Ready {
		t.Fatalf("ready %v, %v", ready, err)
	}
	answer, err := c.ModelInfer(t.Context(), &oip.ModelInferRequest{
		ModelName: "flights", Id: "over-grpc",
		Inputs: []*oip.ModelInferRequest_InferInputTensor{
			{Name: "features", Datatype: "FP32", Shape: []int64{1, 4}, Contents: &oip.InferTensorContents{Fp32Contents: []float32{17, 3, 733, 60}}},
			{Name: "origin", Datatype: "BYTES", Shape: []int64{1, 1}, Contents: &oip.InferTensorContents{BytesContents: [][]byte{[]byte("ATL")}}},
			{Name: "destination", Datatype: "BYTES", Shape: []int64{1, 1}, Contents: &oip.InferTensorContents{BytesContents: [][]byte{[]byte("ORD")}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := math.Float32frombits(bin.LittleEndian.Uint32(answer.RawOutputContents[0]))
	if _, err := p.client.Predict(t.Context(), "flights", []byte(`{"id":"over-http","instances":[{"hour":17,"weekday":3,"distance":733,"departures":60,"origin":"ATL","destination":"ORD"}]}`)); err != nil {
		t.Fatal(err)
	}
	p.settled()
	scores, err := p.client.SQL(t.Context(), `SELECT prediction_id, score FROM predictions ORDER BY 1`, 10)
	if err != nil || len(scores.Rows) != 2 {
		t.Fatalf("%v %v", scores.Rows, err)
	}
	for i, id := range []string{"over-grpc", "over-http"} {
		if scores.Rows[i][0] != id || math.Abs(scores.Rows[i][1].(float64)-float64(got)) > 1e-6 {
			t.Errorf("row %v, want %s with %v", scores.Rows[i], id, got)
		}
	}
	_, err = c.ModelMetadata(t.Context(), &oip.ModelMetadataRequest{Name: "trains"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("unknown model: %v", err)
	}
	p.stop()
}
