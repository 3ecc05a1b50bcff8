#!/usr/bin/env bash
# Installs the other tools and compares drift reports: bench/drift/run.sh [--rounds N]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/bench/.cache
mkdir -p "$cache"
for tool in evidently nannyml whylogs; do
  venv=$cache/venv-$tool
  want=$(cksum < "$here/requirements-$tool.txt")
  [ "$(cat "$venv/.ready" 2>/dev/null)" = "$want" ] && continue
  echo "installing $tool" >&2
  rm -rf "$venv"
  if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements-$tool.txt"; then
    echo "$want" > "$venv/.ready"
  else
    echo "$tool cannot be installed and is left out" >&2
    rm -rf "$venv"
  fi
done
"$root/assets/fetch.sh" "$root/bin" >&2
cd "$root"
[ -f web/ui/dist/index.html ] || make ui >&2
go build -trimpath -ldflags "-s -w" -o "$cache/fairlead" ./cmd/fairlead
exec python3 "$here/run.py" "$cache" "$cache/fairlead" "$root/bin/flights-3m.parquet" "$@"
