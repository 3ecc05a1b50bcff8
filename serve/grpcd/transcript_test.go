package grpcd_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/grpcd"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestErrors plays testdata/errors.txt: calls and the statuses they get. `go test -update` rewrites the statuses. A call
// is the method, lines of metadata, and the message as JSON after "> ", in which raw contents are base64.
func TestErrors(t *testing.T) {
	const path = "testdata/errors.txt"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id := 0
	o := serve.Options{NewID: func() string { id++; return fmt.Sprintf("made-%d", id) }}
	b, without := start(t, o, grpcd.Options{Repository: &shelf{}}), start(t, o, grpcd.Options{})
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(string(old), "\n"), "\n\n") {
		if !strings.HasPrefix(block, "#") {
			to := b
			if strings.Contains(block, "\nrepository: none\n") {
				to = without
			}
			block = play(t, to, block)
		}
		out.WriteString(block + "\n\n")
	}
	got := strings.TrimRight(out.String(), "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(old), got); diff != "" {
		t.Errorf("the statuses changed; if that is right, run go test -update\n%s", diff)
	}
	if _, err := b.client.ModelInfer(t.Context(), echoRequest("echo", 1, 2)); err != nil {
		t.Errorf("after all these errors: %v", err)
	}
}

// play makes one call and appends what came of it.
func play(t *testing.T, b *bench, block string) string {
	ctx := t.Context()
	var call []string
	body := "{}"
	for line := range strings.SplitSeq(block, "\n") {
		if strings.HasPrefix(line, "< ") {
			break
		}
		call = append(call, line)
		if text, ok := strings.CutPrefix(line, "> "); ok {
			body = strings.ReplaceAll(text, "<3000 times x>", strings.Repeat("x", 3000))
		} else if k, v, ok := strings.Cut(line, ": "); ok {
			ctx = metadata.AppendToOutgoingContext(ctx, k, v)
		}
	}
	messages := map[string][2]proto.Message{
		"ModelInfer":                 {&oip.ModelInferRequest{}, &oip.ModelInferResponse{}},
		"ModelMetadata":              {&oip.ModelMetadataRequest{}, &oip.ModelMetadataResponse{}},
		"ModelConfig":                {&oip.ModelConfigRequest{}, &oip.ModelConfigResponse{}},
		"ModelStatistics":            {&oip.ModelStatisticsRequest{}, &oip.ModelStatisticsResponse{}},
		"RepositoryIndex":            {&oip.RepositoryIndexRequest{}, &oip.RepositoryIndexResponse{}},
		"RepositoryModelLoad":        {&oip.RepositoryModelLoadRequest{}, &oip.RepositoryModelLoadResponse{}},
		"RepositoryModelUnload":      {&oip.RepositoryModelUnloadRequest{}, &oip.RepositoryModelUnloadResponse{}},
		"SystemSharedMemoryRegister": {&oip.SystemSharedMemoryRegisterRequest{}, &oip.SystemSharedMemoryRegisterResponse{}},
		"TraceSetting":               {&oip.TraceSettingRequest{}, &oip.TraceSettingResponse{}},
	}
	m, ok := messages[call[0]]
	if !ok {
		m = [2]proto.Message{&oip.ServerLiveRequest{}, &oip.ServerLiveResponse{}}
	}
	if err := protojson.Unmarshal([]byte(body), m[0]); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	err := b.conn.Invoke(ctx, "/inference.GRPCInferenceService/"+call[0], m[0], m[1])
	st := status.Convert(err)
	call = append(call, "< "+strings.ReplaceAll(st.Code().String()+" "+st.Message(), strings.Repeat("x", 100), "x"))
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			call = append(call, fmt.Sprintf("< reason %s of %s", d.Reason, d.Domain))
		case *errdetails.RetryInfo:
			call = append(call, fmt.Sprintf("< retry after %v", d.RetryDelay.AsDuration().Round(time.Millisecond)))
		}
	}
	return strings.Join(call, "\n")
}
