#!/bin/sh
# Build the sdist and a wheel from it; install the wheel, then the plain tree, into empty
# environments; feed a few batches through worker processes from an empty folder.
# Usage: tests/package.sh PYTHON   (a Python that has `build`)
set -eu
python=$(readlink -f "$(dirname "$1")")/$(basename "$1")
tree=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/try.py" <<'END'
import fastfeed, numpy as np

class Squares:
    def __len__(self):
        return 5
    def __getitem__(self, i):
        return np.full((2, 3), i * i, np.float32)

with fastfeed.Loader(Squares(), workers=2) as loader:
    got = [float(batch[0, 0]) for batch in loader]
assert got == [0, 1, 4, 9, 16], got
print(fastfeed.__version__, "works from", fastfeed.__file__)
END

try_it() {  # $1: what to install
    "$python" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$1"
    (cd "$work" && venv/bin/python try.py && venv/bin/fastfeed doctor)
    rm -rf "$work/venv"
}

mkdir "$work/tree" && git ls-files -z | (cd "$tree" && xargs -0 cp --parents -t "$work/tree")
"$python" -m build --outdir "$work/dist" "$work/tree" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
ls "$work/dist"
try_it "$work"/dist/*.whl
try_it "$work/tree"
