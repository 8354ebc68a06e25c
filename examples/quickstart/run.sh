#!/bin/sh
# Sets up mlgit in a virtual environment, makes a new repository, trains a few models on
# scikit-learn's wine data in it, and shows what was run. Needs Python and Git.
#
#     sh examples/quickstart/run.sh [FOLDER]
#
# FOLDER (default: quickstart-demo) is made; everything happens in it and in .venv.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
demo=${1:-quickstart-demo}
if [ -e "$demo" ]; then
    echo "$demo exists already: name another folder, or remove it" >&2
    exit 2
fi
venv=${MLGIT_VENV:-$root/.venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$root[quickstart]"
PATH=$venv/bin:$PATH
export PATH

run() {
    echo
    echo "\$ $*"
    "$@"
}

run mlgit init "$demo"
cp "$here/train.py" "$demo/"
cd "$demo"
git add train.py
git -c user.name="${GIT_AUTHOR_NAME:-Quick Start}" \
    -c user.email="${GIT_AUTHOR_EMAIL:-quickstart@localhost}" commit --quiet -m "a first training script"
run python train.py --all
run mlgit --no-pager log
echo
echo "# the best run"
best=$(mlgit log -n 1 --order-by "metrics.val_accuracy DESC" --json | python -c 'import json, sys; print(json.load(sys.stdin)[0]["run_id"])')
run mlgit --no-pager show "$best"
echo
echo "# a change to the code, and what it did"
sed -i.bak 's/"max_depth": 2}/"max_depth": 3}/' train.py && rm train.py.bak
run python train.py --model boosting --max-depth 3
run mlgit --no-pager diff "@{1}" "@{0}"
echo
echo "# it is all plain Git"
run git log --oneline -n 1 "$(git for-each-ref --format='%(refname)' --count 1 refs/mlgit/runs)"
