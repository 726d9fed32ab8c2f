#!/usr/bin/env bash
# Resolve requirements.in into requirements.lock, and what `make docs` needs into its own lock: every
# transitive pin, with hashes.
# Pins already in a lock stay; to move one, change the .in file or delete its entry first.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$(tools/find-python.sh)" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv

resolve() { # resolve NAME [OPTION ...]: NAME.in into NAME.lock
    local name=$1
    cp "$name.lock" "$folder/$name.lock"
    "$folder/venv/bin/uv" pip compile "$name.in" "${@:2}" \
        --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
        --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command "make lock" --quiet --output-file "$folder/$name.lock"
    mv "$folder/$name.lock" "$name.lock"
}

resolve requirements --override requirements.overrides
resolve requirements-docs
