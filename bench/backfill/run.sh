#!/usr/bin/env bash
# Compares the import of 3,000,000 past predictions with DuckDB's COPY of the same file: bench/backfill/run.sh [--rounds N]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/bench/.cache
mkdir -p "$cache/backfill"
if [ ! -x "$cache/venv-duckdb/bin/python" ]; then
  python3 -m venv "$cache/venv-duckdb"
  "$cache/venv-duckdb/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
fi
"$root/assets/fetch.sh" "$root/bin" >&2
cd "$root"
[ -f web/ui/dist/index.html ] || make ui >&2
go build -trimpath -ldflags "-s -w" -o "$cache/fairlead" ./cmd/fairlead
cp -u "$root"/bin/libonnxruntime.* "$cache/"
exec "$cache/venv-duckdb/bin/python" "$here/run.py" "$cache/backfill" "$cache/fairlead" "$root" "$@"
