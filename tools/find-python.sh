#!/usr/bin/env bash
# Print the Python to build .venv with: $PYTHON, or the first fitting one on the PATH.
for candidate in ${PYTHON:-python3.11 python3 python3.12}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null
    then
        command -v "$candidate"
        exit
    fi
done
echo "sedrepro needs Python 3.11 or 3.12${PYTHON:+ and PYTHON=$PYTHON is not one}:" \
    "install python3.11, or say where it is with make PYTHON=/path/to/python3.11" >&2
exit 1
