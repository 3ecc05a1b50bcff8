#!/usr/bin/env bash
# Leaves the test cases that ONNX publishes in .cache/onnx-testdata (node, simple and converted models with inputs and
# expected outputs), taken from Debian's package libonnx-testdata. Needs apt, and neither root nor an installation.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=.cache/onnx-testdata
[ -d "$folder/node" ] && exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "no apt here: the ONNX test cases are not fetched, e2e skips them (unpack Debian's libonnx-testdata into $folder to run them)" >&2
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch() { (cd "$work" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" libonnx-testdata); }
if ! fetch 2>"$work/said"; then
  [ "$(id -u)" = 0 ] && apt-get update -qq # a fresh machine has no lists
  fetch || { cat "$work/said" >&2; exit 1; }
fi
dpkg-deb -x "$work"/libonnx-testdata_*.deb "$work/tree"
mkdir -p .cache
rm -rf "$folder"
mv "$work/tree/usr/share/libonnx-testdata/data" "$folder"
echo "$(find "$folder" -name model.onnx | wc -l) ONNX test cases in $folder"
