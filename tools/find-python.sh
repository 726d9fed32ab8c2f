#!/usr/bin/env bash
# Print the Python to build .venv with: $PYTHON, or the first fitting one on the PATH.
candidates=(python3.11 python3 python3.12)
if [ -n "${PYTHON:-}" ]; then candidates=("$PYTHON"); fi
for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null
    then
        command -v "$candidate"
        exit
    fi
done
echo "sedrepro needs Python 3.11 or 3.12${PYTHON:+ and PYTHON=$PYTHON is not one}:" \
    "install python3.11, or say where it is with make PYTHON=/path/to/python3.11" >&2
exit 1
