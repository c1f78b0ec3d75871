#!/usr/bin/env bash
# Run a notebook made by `make colab` the way Colab would: in an empty folder, in a virtual
# environment of its own that holds Colab's versions and nothing of ours.
#
#   bash .ci/colab_check.sh FOLDER NOTEBOOK.ipynb      (PROFILE=tiny for a short run)
#
# FOLDER keeps the environment between runs (about 2 GB, three minutes to make). What differs from
# the real thing: Colab has Python 3.13, torch 2.11 for CUDA and many more packages.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
notebook=$(realpath "$2")
project=$(cd "$(dirname "$0")/.." && pwd)
python=$folder/venv/bin/python
unset MUSICLATENT_HOME MUSICLATENT_DATA PYTHONPATH VIRTUAL_ENV JUPYTER_PATH
export PIP_DISABLE_PIP_VERSION_CHECK=1 JUPYTER_DATA_DIR=$folder/jupyter MPLBACKEND=agg

preinstalled=(
    "numpy==2.1.*" "pandas==2.2.*" "ipywidgets==7.7.*" "plotly==5.24.*" "torch==${TORCH:-2.13.0}"
    matplotlib seaborn scikit-learn scipy "librosa<1" soundfile tqdm pyarrow jinja2 requests
    ipykernel nbconvert
)
if [ ! -x "$folder/venv/ready" ]; then
    "${PYTHON:-python3}" -m venv --clear "$folder/venv"
    "$python" -m pip install --quiet "${preinstalled[@]}"
    "$python" -m pip freeze >"$folder/before.txt"
    install -m 755 /dev/null "$folder/venv/ready"
else # back to what Colab hands out
    names() { sed 's/[=@ ].*//' "$@"; }
    extra=$("$python" -m pip freeze | names | grep -vxFf <(names "$folder/before.txt") || true)
    [ -z "$extra" ] || "$python" -m pip uninstall --quiet --yes $extra
    "$python" -m pip install --quiet -r "$folder/before.txt"
fi

rm -rf "$folder/upload" "$folder/built"
mkdir -p "$folder/upload" "$folder/one"
rm -f "$folder/one/"*
cp "$notebook" "$folder/one/"
"${BUILDER:-$project/.venv/bin/python}" - "$folder" "$project" <<'PY'
import os
import sys
from pathlib import Path

import nbformat

from musiclatent.colab import build

folder, project = map(Path, sys.argv[1:])
path = build(folder / "one", folder / "built", project)[0]
book = nbformat.read(path, as_version=4)
if os.environ.get("PROFILE"):
    tags = [cell.metadata.get("tags", []) for cell in book.cells]
    at = next(i for i, t in enumerate(tags) if "parameters" in t)
    book.cells[at].source += f"\nprofile = {os.environ['PROFILE']!r}"
nbformat.write(book, folder / "upload" / path.name)
PY

# the install cell must never reach another environment, such as the checkout's own
"$python" - "$folder" <<'PY'
import sys

from jupyter_client.kernelspec import KernelSpecManager

spec = KernelSpecManager().get_kernel_spec("python3")
found = (spec.resource_dir, spec.argv[0])
if not spec.resource_dir.startswith(sys.argv[1]) or (
    spec.argv[0].startswith("/") and not spec.argv[0].startswith(sys.argv[1])
):
    sys.exit(f"the kernel python3 is not that of the new environment: {found}")
PY

cd "$folder/upload"
name=$(basename "$notebook")
start=$(date +%s)
"$python" -m nbconvert --to notebook --execute --inplace --ExecutePreprocessor.timeout=1200 "$name"
echo "ran $name in $(($(date +%s) - start)) s"
"$python" - "$name" <<'PY'
import json
import sys

for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream" and output["name"] == "stdout":
            print("".join(output["text"]), end="")
PY
"$python" -m pip freeze >"$folder/after.txt"
echo "--- packages before (<) and after (>)"
diff "$folder/before.txt" "$folder/after.txt" || true
if diff <(grep -E '^(numpy|torch|pandas|scipy|ipywidgets)==' "$folder/before.txt") \
    <(grep -E '^(numpy|torch|pandas|scipy|ipywidgets)==' "$folder/after.txt"); then
    echo "numpy, torch, pandas, scipy and ipywidgets are untouched"
else
    echo "a package that Colab preloads was changed" >&2
    exit 1
fi
