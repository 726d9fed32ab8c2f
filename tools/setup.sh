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
.venv/bin/pip install --quiet --no-deps --no-compile --require-hashes -r requirements.lock
# By all cores, which pip does not; what some packages bring for an older Python cannot be compiled.
.venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null || true
.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
echo "$stamp" >.venv/.built
