#!/usr/bin/env bash
# Run notebooks made by `make colab` the way Colab would: each in an empty folder, in a virtual
# environment that holds Colab's versions and nothing of ours.
#
#   bash .ci/colab_check.sh FOLDER NOTEBOOK.ipynb...    (PROFILE=tiny for short runs)
#   DATA=upload MUSIC=folder bash .ci/colab_check.sh ... (or DATA=drive: as if chosen in the form)
#
# FOLDER keeps the environment between runs (6 GB, two minutes to make; PYTHON and TORCH name
# another Python and torch). Versions are those of googlecolab/backend-info (June 2026), with the
# numpy that Python 3.13 needs. What differs from the real thing: no browser, no graphics card, a
# stand-in for the package google.colab, and Colab has some 500 packages more.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
notebooks=()
for notebook in "${@:2}"; do notebooks+=("$(realpath "$notebook")"); done
project=$(cd "$(dirname "$0")/.." && pwd)
python=$folder/venv/bin/python
unset MUSICLATENT_HOME MUSICLATENT_DATA PYTHONPATH VIRTUAL_ENV JUPYTER_PATH
export PIP_DISABLE_PIP_VERSION_CHECK=1 JUPYTER_DATA_DIR=$folder/jupyter MPLBACKEND=agg
export MUSIC=$(realpath "${MUSIC:-.}") STUB_NOTES=$folder/stub.txt
export PYDEVD_DISABLE_FILE_VALIDATION=1 # a debugger that nobody starts warns on every kernel

preinstalled=(
    "numpy==2.1.*" "pandas==2.2.*" "torch==${TORCH:-2.11.0}" "ipywidgets==7.7.1" "plotly==5.24.*"
    "jupyter_client==7.4.9" "ipykernel==6.17.1" "ipython==7.34.0" "traitlets==5.7.1"
    "tornado==6.5.1" "pyzmq==26.2.1" "notebook==6.5.7" "nbclient==0.10.4" "nbconvert==7.17.1"
    "nbformat==5.10.4" "anywidget==0.9.21" "psygnal==0.15.1" "websockets==15.0.1"
    "pyarrow==18.1.0" "scipy==1.16.3" "scikit-learn==1.6.1" "matplotlib==3.10.0" "seaborn==0.13.2"
    "librosa==0.11.0" "soundfile==0.13.1" "soxr==1.1.0" "umap-learn==0.5.12" "shap==0.52.0"
    "tensorboard==2.20.0" "pooch==1.9.0" "requests==2.32.4" "tqdm==4.67.3" "jinja2==3.1.6"
    "setuptools<76"
)
if [ ! -x "$folder/venv/ready" ]; then
    for PYTHON in ${PYTHON:-python3.13 python3}; do "$PYTHON" -c '' 2>/dev/null && break; done
    "$PYTHON" -m venv --clear "$folder/venv"
    "$python" -m pip install --quiet "${preinstalled[@]}"
    "$python" -m pip freeze >"$folder/before.txt"
    install -m 755 /dev/null "$folder/venv/ready"
else # back to what Colab hands out
    names() { sed 's/[=@ ].*//' "$@"; }
    extra=$("$python" -m pip freeze | names | grep -vxFf <(names "$folder/before.txt") || true)
    [ -z "$extra" ] || "$python" -m pip uninstall --quiet --yes $extra
    "$python" -m pip install --quiet -r "$folder/before.txt"
fi

# a stand-in for google.colab; Drive is a link under /content, taken away at the end
rm -rf "$folder/upload" "$folder/built" "$folder/one" "$folder/stub"
mkdir -p "$folder/upload" "$folder/one" "$folder/stub/google/colab"
: >"$STUB_NOTES"
cd "$folder/stub/google/colab"
echo 'from google.colab import output' >__init__.py
echo 'import google.colab' >"$folder/stub/sitecustomize.py" # a kernel of Colab has it loaded
cat >output.py <<'PY'
import os
from types import SimpleNamespace

_widgets = SimpleNamespace(_installed_url=None)


def enable_custom_widget_manager():
    _widgets._installed_url = "https://widgets.invalid"
    with open(os.environ["STUB_NOTES"], "a") as file:
        print("the custom widget manager was enabled", file=file)
PY
cat >files.py <<'PY'
import os
from pathlib import Path


def upload():
    found = {p.name: p.read_bytes() for p in sorted(Path(os.environ["MUSIC"]).iterdir())}
    for name, content in found.items():
        Path(name).write_bytes(content)  # as Colab does
    return found
PY
cat >drive.py <<'PY'
import os
from pathlib import Path


def mount(mountpoint):
    base = Path(mountpoint) / "MyDrive"
    base.mkdir(parents=True, exist_ok=True)
    (base / "music").is_symlink() or (base / "music").symlink_to(os.environ["MUSIC"])
PY
if [ "${DATA:-}" = drive ] && [ ! -e /content ]; then trap 'rm -r /content' EXIT; fi

cp "${notebooks[@]}" "$folder/one/"
"${BUILDER:-$project/.venv/bin/python}" - "$folder" "$project" <<'PY'
import os
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, sys.argv[2])
from musiclatent.apps.colab import build

folder, project = map(Path, sys.argv[1:])
for path in build(folder / "one", folder / "built", project):
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if os.environ.get("PROFILE") and "parameters" in cell.metadata.get("tags", []):
            cell.source += f"\nprofile = {os.environ['PROFILE']!r}"
        if os.environ.get("DATA") and cell.id == "colab-data":
            cell.source = cell.source.replace('"demo"', repr(os.environ["DATA"]), 1)
    (folder / "upload" / path.stem).mkdir()
    nbformat.write(book, folder / "upload" / path.stem / path.name)
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

export PYTHONPATH=$folder/stub
failed=()
for notebook in "${notebooks[@]}"; do
    name=$(basename "$notebook")
    cd "$folder/upload/${name%.ipynb}"
    start=$(date +%s)
    "$python" -m nbconvert --log-level WARN --to notebook --execute --inplace \
        --ExecutePreprocessor.timeout=1200 "$name" || failed+=("$name")
    echo "ran $name in $(($(date +%s) - start)) s"
    "$python" - "$name" <<'PY'
import json
import sys

for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream" and output["name"] == "stdout":
            print("".join(output["text"]), end="")
PY
done
sort "$STUB_NOTES" | uniq -c
"$python" -m pip freeze >"$folder/after.txt"
echo "--- packages before (<) and after (>)"
diff "$folder/before.txt" "$folder/after.txt" || true
if diff "$folder/before.txt" "$folder/after.txt" | grep '^<'; then
    echo "a package that Colab preloads was changed" >&2
    exit 1
fi
echo "no package that was there before was changed"
[ -z "${failed[*]}" ] || { echo "failed: ${failed[*]}" >&2 && exit 1; }
