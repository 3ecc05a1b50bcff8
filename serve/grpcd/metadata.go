package grpcd

import (
	"context"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve/protocol"
)

// ServerLive is true: the process answers.
func (s *service) ServerLive(context.Context, *oip.ServerLiveRequest) (*oip.ServerLiveResponse, error) {
	return &oip.ServerLiveResponse{Live: true}, nil
}

// ServerReady is false while the server starts or drains; a model that is not ready does not count.
func (s *service) ServerReady(context.Context, *oip.ServerReadyRequest) (*oip.ServerReadyResponse, error) {
	return &oip.ServerReadyResponse{Ready: s.o.Ready() == nil}, nil
}

// ModelReady is false for a model that is loading and, as clients of other servers expect, for one that does not exist.
func (s *service) ModelReady(_ context.Context, req *oip.ModelReadyRequest) (*oip.ModelReadyResponse, error) {
	_, err := s.server.Table().Lookup(req.Name, req.Version)
	return &oip.ModelReadyResponse{Ready: err == nil}, nil
}

// ServerMetadata names the server.
func (s *service) ServerMetadata(context.Context, *oip.ServerMetadataRequest) (*oip.ServerMetadataResponse, error) {
	return &oip.ServerMetadataResponse{Name: "fairlead", Version: s.o.Version,
		Extensions: protocol.Extensions(s.o.Repository != nil)}, nil
}

// ModelMetadata describes a version of a model.
func (s *service) ModelMetadata(_ context.Context, req *oip.ModelMetadataRequest) (*oip.ModelMetadataResponse, error) {
	table := s.server.Table()
	t, err := table.Lookup(req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	d, err := table.Deployment(req.Name)
	if err != nil {
		return nil, err
	}
	answer := &oip.ModelMetadataResponse{
		Name: req.Name, Platform: protocol.Platform,
		Inputs: describe(t.Signature.Inputs), Outputs: describe(t.Signature.Outputs),
	}
	for _, other := range d.Targets() {
		answer.Versions = append(answer.Versions, other.Version.String())
	}
	return answer, nil
}

func describe(specs []fairlead.TensorSpec) []*oip.ModelMetadataResponse_TensorMetadata {
	ts := make([]*oip.ModelMetadataResponse_TensorMetadata, len(specs))
	for i, s := range specs {
		ts[i] = &oip.ModelMetadataResponse_TensorMetadata{Name: s.Name, Datatype: string(s.Type), Shape: protocol.Shape(s)}
	}
	return ts
}
