#!/usr/bin/env bash
# Build .venv from requirements.lock, unless it is already there and whole.
# .venv/.built is written last and names the lock and the folder it was built for, so a half-built,
# outdated or moved .venv is never taken for a good one.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONPATH PYTHONHOME
PATH=${PATH//"$PWD/.venv/bin:"/} # an environment cannot build its own successor

exec 9<requirements.lock # two calls at once: the second waits, and finds the work done
if command -v flock >/dev/null; then flock 9; fi

stamp="$(sha256sum <requirements.lock) $PWD"

built() {
    [ "$(cat .venv/.built 2>/dev/null)" = "$stamp" ] && [ -x .venv/bin/python ]
}

packages() { # the Debian packages of what is missing
    command -v sox >/dev/null || echo sox
    command -v "${CC:-cc}" >/dev/null || echo build-essential
    "$1" - <<'EOF'
import importlib.util, pathlib, sys, sysconfig

name = "python%d.%d" % sys.version_info[:2]
if not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists():
    print(f"{name}-dev")
if not importlib.util.find_spec("ensurepip"):
    print(f"{name}-venv")
EOF
}

install_packages() { # as root or where sudo asks for no password; else say what to run
    local root="env DEBIAN_FRONTEND=noninteractive" command="apt-get install -y $*"
    if [ "$(id -u)" != 0 ]; then root="sudo -n $root"; fi
    if ! command -v apt-get >/dev/null; then
        echo "sedrepro needs what Debian calls $*: install it with your package manager, try again" >&2
        exit 1
    fi
    if $root true 2>/dev/null; then
        echo "sedrepro: $command" >&2
        $root $command >/dev/null 2>&1 && return
        { $root apt-get update && $root $command; } >/dev/null && return
    fi
    echo "sedrepro needs $*: run 'sudo $command' and try again" >&2
    exit 1
}

told_pip() { # told_pip OPTION: what pip was told about it, by a file or the environment
    .venv/bin/pip config list | sed -n "s/^[^=]*[.]$1='\(.*\)'$/\1/p" | sed 's/\\n/ /g; q'
}

as_pip_would() { # uv reads none of pip's settings; packages come from the same places nevertheless
    local option value
    for option in index-url=UV_DEFAULT_INDEX extra-index-url=UV_INDEX find-links=UV_FIND_LINKS \
        cert=SSL_CERT_FILE; do
        value=$(told_pip "${option%=*}")
        if [ -n "$value" ]; then export "${option#*=}=$value"; fi
    done
    "$@"
}

if built && command -v sox >/dev/null; then exit; fi

python=$(tools/find-python.sh)
missing=$(packages "$python" | xargs)
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086
    install_packages $missing
fi
if built; then exit; fi

echo "sedrepro: building .venv (about 2 minutes, 6 GB)" >&2
rm -rf .venv
"$python" -m venv .venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
# uv is quicker than pip, and takes seconds for what it has unpacked once (in ~/.cache/uv, or
# $UV_CACHE_DIR). Where it cannot, pip says why or does the work.
awk '/^[^ ]/ { its = /^uv==/ } its' requirements.lock >.venv/uv.lock
.venv/bin/pip install --quiet --no-deps --require-hashes -r .venv/uv.lock
all=(--quiet --no-deps --require-hashes -r requirements.lock)
as_pip_would .venv/bin/uv pip install --python .venv/bin/python \
    --index-strategy unsafe-best-match "${all[@]}" 2>/dev/null ||
    .venv/bin/pip install "${all[@]}"
# Tests of packages are never imported, and what some bring for an older Python cannot be compiled.
.venv/bin/python -m compileall -q -j 0 -x '/tests/' .venv/lib >/dev/null || true
.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
echo "$stamp" >.venv/.built
