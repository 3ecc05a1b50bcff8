#!/usr/bin/env sh
# Puts the ONNX Runtime library and the flights beside the binary, from the npm packages pinned in package-lock.json.
# npm checks their integrity hashes; no install script of any package is run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: fetch.sh OUT-FOLDER}
mkdir -p "$out"

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64)            lib=linux/x64/libonnxruntime.so.1 ;;
  Linux-aarch64)           lib=linux/arm64/libonnxruntime.so.1 ;;
  Darwin-arm64)            lib=darwin/arm64/libonnxruntime.1.dylib ;;
  *) echo "fairlead: no ONNX Runtime for $(uname -s) $(uname -m) in the npm package; set FAIRLEAD_ORT_LIBRARY to your own" >&2; exit 1 ;;
esac

stamp="$out/.assets"
want=$(cksum < "$here/package-lock.json")
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then exit 0; fi

command -v npm >/dev/null || { echo "fairlead: npm is needed to fetch the ONNX Runtime library; install Node.js 20 or newer" >&2; exit 1; }
echo "fetching ONNX Runtime and the flights data (130 MB, once)"
npm ci --prefix "$here" --ignore-scripts --no-audit --no-fund --loglevel=error
cp -L "$here/node_modules/onnxruntime-node/bin/napi-v6/$lib" "$out/$(basename "$lib")"
cp "$here/node_modules/vega-datasets/data/flights-3m.parquet" "$out/flights-3m.parquet"
rm -rf "$here/node_modules"
echo "$want" > "$stamp"
