#!/usr/bin/env bash
# Writes the Go files again from inference.proto and model_config.proto, with pinned generators in a throwaway folder.
set -euo pipefail
cd "$(dirname "$0")/.."

GRPCIO_TOOLS=1.76.0 # brings protoc
PROTOC_GEN_GO=v1.36.12
PROTOC_GEN_GO_GRPC=v1.6.2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "grpcio-tools==$GRPCIO_TOOLS"
GOBIN="$work/bin" go install "google.golang.org/protobuf/cmd/protoc-gen-go@$PROTOC_GEN_GO"
GOBIN="$work/bin" go install "google.golang.org/grpc/cmd/protoc-gen-go-grpc@$PROTOC_GEN_GO_GRPC"

PATH="$work/bin:$PATH" "$work/venv/bin/python" -m grpc_tools.protoc -I . \
  --go_out=. --go_opt=paths=source_relative \
  --go-grpc_out=. --go-grpc_opt=paths=source_relative \
  oip/inference.proto oip/model_config.proto
gofmt -l oip
