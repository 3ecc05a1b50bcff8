#!/usr/bin/env sh
# Makes sure that a Chromium is there for the browser tests: the one on PATH, else Debian's package.
set -eu
for c in chromium chromium-browser google-chrome; do command -v "$c" >/dev/null 2>&1 && exit 0; done
command -v apt-get >/dev/null || { echo "install Chromium: the browser tests need it" >&2; exit 1; }
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
