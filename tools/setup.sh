#!/usr/bin/env bash
# Make .venv hold exactly what locks/dev.txt names. Says what it does before it does it.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
    echo "setup: $python is missing. Install Python 3.11 or newer, or name one: PYTHON=/path/to/python3 make setup" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: $("$python" --version) is too old. Name a Python 3.11 or newer: PYTHON=/path/to/python3 make setup" >&2
    exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "setup: $python cannot make virtual environments. On Debian: apt-get install python3-venv" >&2
    exit 1
fi

count=$(grep -cE '^[a-z0-9].*==' locks/dev.txt)
echo "setup: installing $count Python packages into .venv (about 6 GB with PyTorch; 1 to 5 minutes the first time)"
echo "setup: downloads are kept in $UV_CACHE_DIR"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/bootstrap.txt
llama=()
if command -v g++ >/dev/null; then
    llama=(locks/llama.txt)
    export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
    echo "setup: llama.cpp is built from source the first time (4 minutes on 2 cores)"
else
    echo "setup: no g++, so llama.cpp is left out and its tests are skipped. On Debian: apt-get install g++" >&2
fi
# The bootstrap is part of dev.txt's environment: sync removes what neither of them names.
.venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes locks/dev.txt locks/bootstrap.txt "${llama[@]}"
# The checkout's own command, so that what the documents say can be typed as it stands there.
printf '#!/bin/sh\nPYTHONPATH="%s${PYTHONPATH:+:$PYTHONPATH}" exec "%s/.venv/bin/python" -m kaito_operator.cli "$@"\n' \
    "$PWD" "$PWD" >.venv/bin/kaito
chmod +x .venv/bin/kaito
echo "setup: done"
