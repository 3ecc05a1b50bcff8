#!/usr/bin/env bash
# Starts the demo on a fresh data folder and drives its page with a real browser. SCREENSHOTS=folder keeps the pictures.
set -euo pipefail
cd "$(dirname "$0")/.."
port=${PORT:-18080}
data=$(mktemp -d)
bin/fairlead demo --data "$data" --http "127.0.0.1:$port" --incident all --day 2s --quiet >"$data/log" 2>&1 &
demo=$!
cleanup() { kill -TERM "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; rm -rf "$data"; }
trap cleanup EXIT
for _ in $(seq 100); do curl -fs "http://127.0.0.1:$port/healthz" >/dev/null && break; sleep 0.2; done
[ -n "${SCREENSHOTS:-}" ] && export SCREENSHOTS="$(cd "$(dirname "$SCREENSHOTS")" && pwd)/$(basename "$SCREENSHOTS")"
FAIRLEAD_URL="http://127.0.0.1:$port" npm --prefix web/ui run e2e:river --silent || { tail -50 "$data/log"; exit 1; }
