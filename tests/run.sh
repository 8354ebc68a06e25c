#!/bin/sh
# Sets up a virtual environment and runs every check: lint, types, tests.
#
#     sh tests/run.sh            a few minutes
#     CI=true sh tests/run.sh    with the slow tests, and beside the real MLflow
#
# Needs Python and Git.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
venv=${MLGIT_VENV:-$root/.venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
pip="$venv/bin/python -m pip install --quiet --disable-pip-version-check"
$pip -e ".[test]"

echo "== lint"
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
echo "== types"
"$venv/bin/mypy"
echo "== tests"
if [ "${CI:-}" = true ]; then
    # The real MLflow, in an environment of its own, for the tests that compare with it.
    peer=${MLGIT_PEER_VENV:-$root/.venv-mlflow3}
    [ -x "$peer/bin/python" ] || python3 -m venv "$peer"
    "$peer/bin/python" -m pip install --quiet --disable-pip-version-check "mlflow==3.17.2"
    MLGIT_TEST_MLFLOW3=$peer/bin/python
    export MLGIT_TEST_MLFLOW3
    exec "$venv/bin/python" -m pytest -n 2 "$@"
fi
exec "$venv/bin/python" -m pytest -n 2 -m "not slow" "$@"
