#!/usr/bin/env bash
# Leaves Triton's perf_analyzer, ready to start, in .cache/perf_analyzer. Usage: perf_analyzer.sh [PIP].
#
# The wheel perf-analyzer wants glibc 2.38 and the C++ library of GCC 13. The last wheel of tritonclient that brings the
# program, 2.41.0, starts on older systems when libb64 (Debian's libb64-0d) and the CUDA runtime, which it links and does
# not use here, lie beside it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
pip=${1:-"python3 -m pip"}
folder=.cache/perf_analyzer
[ -x "$folder/perf_analyzer" ] && exit 0
if [ "$(uname -sm)" != "Linux x86_64" ] || ! command -v apt-get >/dev/null; then
  echo "perf_analyzer is not fetched: its wheel is for Linux x86-64, and libb64 is taken by apt" >&2
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
$pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$work" \
  tritonclient==2.41.0 nvidia-cuda-runtime-cu12==12.9.79
fetch() { (cd "$work" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" libb64-0d); }
if ! fetch 2>"$work/said"; then
  [ "$(id -u)" = 0 ] && apt-get update -qq # a fresh machine has no lists
  fetch || { cat "$work/said" >&2; exit 1; }
fi
dpkg-deb -x "$work"/libb64-0d_*.deb "$work/tree"
python3 - "$work" <<'PY'
import sys, zipfile
from pathlib import Path
work = Path(sys.argv[1])
for wheel in work.glob("*.whl"):
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            if name.endswith(("/bin/perf_analyzer", "/lib/libcudart.so.12")):
                (work / "tree" / Path(name).name).write_bytes(z.read(name))
PY
rm -rf "$folder"
mkdir -p "$folder/lib"
find "$work/tree" -name 'libb64.so*' -exec cp -a {} "$folder/lib/" \;
cp "$work/tree/libcudart.so.12" "$folder/lib/"
install -m 755 "$work/tree/perf_analyzer" "$folder/perf_analyzer"
