"""The tests mirror the rooms: each module has its test file, each test file names a module."""

from pathlib import Path

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "musiclatent"

# Module without a test file of its own -> the test file that runs it.
THROUGH = {
    "apps/commands/compare": "test_cli",
    "apps/commands/corpora": "test_cli",  # each command is started as a user starts it
    "apps/commands/dance": "test_cli",
    "apps/commands/encoders": "test_cli",
    "apps/commands/messages": "test_cli",
    "apps/commands/models": "test_cli",
    "apps/commands/own_music": "test_cli",
    "apps/commands/pages": "test_cli",
    "apps/dashboard_data": "apps/test_dashboard",
    "apps/running/beforehand": "test_cli",  # small folders are refused as a user sees it
    "apps/running/warm": "apps/running/test_kernels",  # what becomes the kernels there
    "audio/chain": "audio/containers/test_links",  # joined files are read as one
    "audio/containers/parts": "audio/containers/test_links",
    "audio/decoders": "audio/test_io",  # streams are read through `audio.blocks`
    "audio/libav": "audio/test_io",
    "audio/pieces": "audio/test_io",
    "audio/sndfile": "audio/test_io",
    "audio/stream": "audio/test_io",
    "data/shards": "data/test_cache",  # workers are killed while they write shards
    "data/synthetic/dance": "data/synthetic/test_synthetic",
    "data/synthetic/digits": "data/synthetic/test_synthetic",
    "data/synthetic/drums": "data/synthetic/test_synthetic",
    "data/synthetic/instruments": "data/synthetic/test_synthetic",
    "data/synthetic/music": "data/synthetic/test_synthetic",
    "data/synthetic/score": "data/synthetic/test_synthetic",
    "data/synthetic/styles": "data/synthetic/test_synthetic",
    "data/synthetic/tables": "data/synthetic/test_synthetic",
    "display/map_html": "display/test_map_page",
    "display/map_layout": "display/test_map_page",
    "display/style": "test_layers",  # nothing is set at import
    "display/words/dance_captions": "display/words/test_captions",
    "display/words/genre_captions": "display/words/test_captions",
    "edm/decks/deck": "edm/test_mixdown",  # heard in a mix
    "experiments": "test_studies",  # a study's table is its experiments
    "features/beat_grid": "features/test_rhythm",  # grids of tracks whose beats are known
    "training/lightning": "training/test_fit",
    "training/trainer": "training/test_fit",
}
# Test file of what is no single module.
OF_THE_WHOLE = {
    "data/synthetic/test_synthetic",  # the corpora, from `data/synthetic/__init__`
    "display/test_map_in_browser",  # map.js in Chromium
    "display/test_map_in_hosts",  # the map in JupyterLab, Voila and one html file
    "models/test_registry",  # what holds for every model of `models.MODELS`
    "test_benchmarks",
    "test_docs",  # docs/pages.py, which makes pages of the site
    "test_face",  # the names of `musiclatent/__init__.py`
    "test_layers",
    "test_mirror",
    "test_notebooks",
    "test_packaging",
    "test_results",  # docs/results.md beside docs/results/*.json
}


def _stems(root: Path, pattern: str) -> set[str]:
    """Paths below a folder without their suffix."""
    return {path.relative_to(root).with_suffix("").as_posix() for path in root.rglob(pattern)}


def _test_of(module: str) -> str:
    """The test file in which a module is to be looked for."""
    room, _, name = module.rpartition("/")
    return f"{room}/test_{name}" if room else f"test_{name}"


MODULES = {name for name in _stems(PACKAGE, "*.py") if not name.endswith("__")}
FILES = _stems(TESTS, "test_*.py")


def test_each_module_has_its_test_file():
    file_of = {module: THROUGH.get(module, _test_of(module)) for module in MODULES}
    lacking = {module: file for module, file in file_of.items() if file not in FILES}
    assert not lacking, "write these files, or say in THROUGH which ones run these modules"


def test_each_test_file_names_a_module():
    named = OF_THE_WHOLE | set(map(_test_of, MODULES))
    assert not FILES - named, "these files name no module; move their tests"


def test_the_exceptions_are_needed():
    assert set(THROUGH) <= MODULES and OF_THE_WHOLE <= FILES
    assert not FILES & set(map(_test_of, THROUGH)), "a module in THROUGH has a test file now"
