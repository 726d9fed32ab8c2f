#!/usr/bin/env bash
# Check the English of README and docs/, then build the site into site/. Both need an environment of
# their own, .venv.docs, which is built from requirements-docs.lock when that changed.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONPATH PYTHONHOME

stamp="$(sha256sum <requirements-docs.lock) $PWD"
if [ "$(cat .venv.docs/.built 2>/dev/null)" != "$stamp" ]; then
    echo "sedrepro: building .venv.docs (200 MB)" >&2
    rm -rf .venv.docs
    "$(tools/find-python.sh)" -m venv .venv.docs
    PIP_DISABLE_PIP_VERSION_CHECK=1 .venv.docs/bin/pip install --quiet --no-deps \
        --require-hashes -r requirements-docs.lock
    echo "$stamp" >.venv.docs/.built
fi
.venv.docs/bin/python tools/readability.py
NO_MKDOCS_2_WARNING=true .venv.docs/bin/mkdocs build --strict
echo "site: $PWD/site/index.html"
