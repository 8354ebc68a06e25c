#!/bin/sh
# Sets up a virtual environment and runs every check: lint, types, tests.
#
#     sh tests/run.sh            a few minutes
#     CI=true sh tests/run.sh    with the slow tests, and beside the real MLflow and GTO
#
# Needs Python and Git.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
venv=${MLGIT_VENV:-$root/.venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
pip="$venv/bin/python -m pip install --quiet --disable-pip-version-check"
if [ "${CI:-}" = true ]; then
    # The frameworks that models are of. PyTorch by its own version first, so that nothing
    # brings one with CUDA along.
    $pip "torch==2.13.0"
    $pip -e ".[test,frameworks,browser]"
else
    $pip -e ".[test]"
fi

echo "== lint"
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
echo "== types"
"$venv/bin/mypy"
echo "== tests"
if [ "${CI:-}" = true ]; then
    # The real MLflows, in environments of their own, for the tests that compare with them;
    # behind their own packages they see the frameworks of the first.
    for packages in "mlflow==3.17.2" "mlflow==2.22.5 sqlalchemy<2.1 fastapi<0.116"; do
        version=${packages#mlflow==}
        major=${version%%.*}
        peer=${MLGIT_PEER_VENV:-$root/.venv-mlflow}$major
        [ -x "$peer/bin/python" ] || python3 -m venv "$peer"
        rm -f "$peer"/lib/python3*/site-packages/zz-frameworks.pth
        # shellcheck disable=SC2086  # several packages
        "$peer/bin/python" -m pip install --quiet --disable-pip-version-check $packages
        "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
            >"$(echo "$peer"/lib/python3*/site-packages)/zz-frameworks.pth"
        export "MLGIT_TEST_MLFLOW$major=$peer/bin/python"
    done
    # The real GTO, for the tests of the registry.
    gto=${MLGIT_GTO_VENV:-$root/.venv-gto}
    [ -x "$gto/bin/python" ] || python3 -m venv "$gto"
    "$gto/bin/python" -m pip install --quiet --disable-pip-version-check "gto==1.10.1"
    export "MLGIT_TEST_GTO=$gto/bin/gto"
    # axe-core, which finds what keeps people out of the web app's pages; without npm its
    # tests look at the rest alone.
    axe=${MLGIT_AXE:-$root/.venv/axe-core}
    if ! [ -f "$axe/package/axe.min.js" ] && command -v npm >/dev/null; then
        mkdir -p "$axe"
        (cd "$axe" && npm pack --silent axe-core@4.14.1 >/dev/null && tar xzf axe-core-*.tgz) || true
    fi
    if [ -f "$axe/package/axe.min.js" ]; then
        export MLGIT_TEST_AXE="$axe/package/axe.min.js"
    fi
    exec "$venv/bin/python" -m pytest -n 2 "$@"
fi
exec "$venv/bin/python" -m pytest -n 2 -m "not slow" "$@"
