#!/usr/bin/env bash
# Resolve requirements.in into requirements.lock: every transitive pin, with hashes.
# Pins already in the lock stay; to move one, change requirements.in or delete its entry first.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(tools/find-python.sh)" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv

cp requirements.lock "$folder/requirements.lock"
"$folder/venv/bin/uv" pip compile requirements.in --override requirements.overrides \
    --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
    --generate-hashes --no-emit-index-url --no-emit-find-links \
    --custom-compile-command "make lock" --quiet --output-file "$folder/requirements.lock"
mv "$folder/requirements.lock" requirements.lock
