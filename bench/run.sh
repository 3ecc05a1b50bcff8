#!/usr/bin/env bash
# Installs the peers, makes the models, builds fairlead and compares them all: bench/run.sh [--quick] [-only PATTERN] [-again] [-table]
# A peer that cannot be installed is left out and named; a pair that has its result is not measured again without -again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
cache=$here/.cache
mkdir -p "$cache"

library=${FAIRLEAD_ORT_LIBRARY:-}
if [ -z "$library" ]; then
  "$root/assets/fetch.sh" "$root/bin" >&2
  library=$(ls "$root"/bin/libonnxruntime.* | head -1)
fi

# install NAME REQUIREMENTS: a virtual environment with exactly these, made anew when they change.
install() {
  local venv=$cache/venv-$1 want
  want=$(cksum < "$2")
  [ "$(cat "$venv/.ready" 2>/dev/null)" = "$want" ] && return
  echo "installing $1" >&2
  rm -rf "$venv"
  if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$2" >"$cache/install-$1.log" 2>&1; then
    echo "$want" > "$venv/.ready"
  else
    echo "bench: $1 cannot be installed, its pairs will fail: see $cache/install-$1.log" >&2
  fi
}
for peer in fastapi mlserver ray bentoml triton; do
  install "$peer" "$here/peers/$peer/requirements.txt"
done

want=$(cksum < "$here/peers/fastify/package-lock.json")
if [ "$(cat "$cache/fastify/.ready" 2>/dev/null)" != "$want" ]; then
  echo "installing fastify" >&2
  mkdir -p "$cache/fastify"
  cp "$here"/peers/fastify/package*.json "$cache/fastify/"
  if npm ci --prefix "$cache/fastify" --ignore-scripts --no-audit --no-fund --loglevel=error >"$cache/install-fastify.log" 2>&1; then
    echo "$want" > "$cache/fastify/.ready"
  else
    echo "bench: fastify cannot be installed, its pairs will fail: see $cache/install-fastify.log" >&2
  fi
fi

want=$(cat "$here/models/make.py" "$here/models/requirements.txt" | cksum)
if [ "$(cat "$cache/models/.ready" 2>/dev/null)" != "$want" ]; then
  install models "$here/models/requirements.txt"
  rm -rf "$cache/models"
  "$cache/venv-models/bin/python" "$here/models/make.py" "$cache/models" >&2
  echo "$want" > "$cache/models/.ready"
fi

cd "$root"
[ -f web/ui/dist/index.html ] || make ui >&2
go build -trimpath -ldflags "-s -w" -o "$cache/fairlead" ./cmd/fairlead
for program in echo ortloop; do go build -o "$cache/$program" "./bench/$program"; done
go build -o "$cache/bench" ./bench
BENCH_COMMIT=$(git describe --tags --always --dirty 2>/dev/null || true)
export BENCH_COMMIT

args=()
for a in "$@"; do args+=("${a/#--/-}"); done
exec "$cache/bench" -root "$here" -library "$library" "${args[@]}"
