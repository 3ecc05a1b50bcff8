#!/bin/sh
# Builds hash.wasm. It needs Rust's target wasm32-unknown-unknown: rustup target add wasm32-unknown-unknown
set -e
cd "$(dirname "$0")"
rustc --edition 2021 --target wasm32-unknown-unknown --crate-type cdylib -C opt-level=s -C lto=fat -C panic=abort \
	-C strip=symbols -C target-cpu=mvp -o hash.wasm hash.rs
