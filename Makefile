# fairlead: `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN      := bin
VENV     := .cache/venv
UI       := web/ui
SPEED    ?= 2s
INCIDENT ?= all
DATA     ?= fairlead-data
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: run
run: build ## build everything and start the flights demo on http://127.0.0.1:8080
	$(BIN)/fairlead demo --data $(DATA) --day $(SPEED) --incident $(INCIDENT)

.PHONY: build
build: runtime ui ## leave bin/fairlead and the runtime library beside it
	@[ -x $(BIN)/fairlead ] || echo "building the binary; the first time takes some minutes"
	go build $(GOFLAGS_BUILD) -o $(BIN)/fairlead ./cmd/fairlead

.PHONY: runtime
runtime: ## fetch the pinned ONNX Runtime library and the flights into bin/
	@assets/fetch.sh $(BIN)

# The UI is rebuilt when a file of it is newer than its last build.
.PHONY: ui
ui: $(UI)/dist/index.html ## build the UI into web/ui/dist

$(UI)/node_modules/.package-lock.json: $(UI)/package-lock.json
	npm ci --prefix $(UI) --ignore-scripts --no-audit --no-fund --loglevel=error

$(UI)/dist/index.html: $(UI)/node_modules/.package-lock.json $(shell find $(UI)/src $(UI)/public $(UI)/index.html $(UI)/*.ts $(UI)/package.json -type f 2>/dev/null)
	npm --prefix $(UI) run build --silent
	@touch $@

$(VENV)/.ready: python/requirements-test.txt python/requirements-clients.txt python/pyproject.toml
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r python/requirements-test.txt -r python/requirements-clients.txt
	touch $@

.PHONY: test
test: build test-go test-python test-ui test-river ## every test: unit, race, fuzz seeds, end-to-end, Python, browser

.PHONY: onnxdata
onnxdata: ## fetch ONNX's own test cases for e2e
	@e2e/onnxdata.sh

.PHONY: test-go
test-go: build onnxdata ## Go tests with the race detector; fuzz targets run their seeds
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt on these"; exit 1; }
	go vet ./...
	FAIRLEAD_BIN=$(CURDIR)/$(BIN)/fairlead FAIRLEAD_ORT_LIBRARY=$$(ls $(CURDIR)/$(BIN)/libonnxruntime.*) go test -race -timeout 25m ./...

.PHONY: test-python
test-python: build $(VENV)/.ready ## Python client, and clients that others wrote, against the real binary
	@python/tests/clients/perf_analyzer.sh "$(CURDIR)/$(VENV)/bin/pip"
	FAIRLEAD_BIN=$(CURDIR)/$(BIN)/fairlead PYTHONPATH=python/src $(VENV)/bin/python -m pytest -q python/tests

.PHONY: test-ui
test-ui: ui chromium ## UI unit tests and browser tests on a mock server
	npm --prefix $(UI) test --silent
	npm --prefix $(UI) run e2e:mock --silent

.PHONY: test-river
test-river: build chromium ## browser test on a running demo; SCREENSHOTS=docs/images keeps its pictures
	e2e/river.sh

.PHONY: chromium
chromium:
	@e2e/chromium.sh

.PHONY: lint
lint: ## golangci-lint (builds it on first use)
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run

.PHONY: fuzz
fuzz: runtime ui ## every fuzz target for FUZZTIME (default 20s) each
	@for pkg in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$pkg/*_test.go | cut -c6-); do \
	    echo "$$pkg $$f"; go test ./$$pkg -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-20s}; done; done

.PHONY: bench
bench: runtime ## Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-peers
bench-peers: runtime ui ## compare with other servers on this machine, an hour; BENCH=--quick for minutes
	bench/run.sh $(BENCH)

.PHONY: soak
soak: build ## load the server for SOAK (default 1h) and watch its memory
	FAIRLEAD_BIN=$(CURDIR)/$(BIN)/fairlead FAIRLEAD_ORT_LIBRARY=$$(ls $(CURDIR)/$(BIN)/libonnxruntime.*) go test ./e2e -run TestSoak -v -timeout 25h -soak $${SOAK:-1h}

.PHONY: clean
clean: ## remove what make made
	rm -rf $(BIN) $(UI)/dist $(UI)/node_modules .cache
