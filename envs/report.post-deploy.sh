#!/usr/bin/env bash
# Generated from requirements.lock by `make lock` (tools/write_envs.py); do not edit.
# These ask for packages that are left out on purpose (requirements.overrides).
set -euo pipefail
python -m pip install --no-deps sed-scores-eval==0.0.4
