#!/usr/bin/env bash
# What each paper's training costs on this machine's GPU, in at most eight minutes or so. Nobody who
# wrote it had a card: what it prints belongs into docs/benchmarks.md, with the card's name.
#
#     benchmarks/gpu.sh [--minutes 8]        --device cpu tries the script without a card
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
export PYTHONPATH="$PWD/src"
python benchmarks/gpu.py "$@"
