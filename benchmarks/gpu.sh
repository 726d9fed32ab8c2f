#!/usr/bin/env bash
# Seconds and memory of every paper's headline steps on this machine's GPU, in float32 and mixed
# precision; a few minutes. Nobody who wrote it had a card: what it prints belongs into
# docs/benchmarks.md, with the card's name.
#
#     benchmarks/gpu.sh [DEVICE]        DEVICE: cuda (as it is), or cpu to try the script
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
export PYTHONPATH="$PWD/src"
device=${1:-cuda}
steps=${STEPS:-30}

for precision in false true; do
    echo "## mixed precision: $precision"
    for rows in "lgc_sed mt lgc" "cross_task_sod mt_backbone full" "weak_mtl atrous_ap 2apae"; do
        read -r paper names <<<"$rows"
        # shellcheck disable=SC2086
        python benchmarks/training.py --paper "$paper" --rows $names --device "$device" \
            --steps "$steps" --amp "$precision" ${CONFIGFILE:+--configfile "$CONFIGFILE"}
    done
done
