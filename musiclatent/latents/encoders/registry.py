"""Find an encoder by what a user writes: a name, a folder, or the class of somebody else."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from musiclatent.errors import CheckpointError, first_line, one_line
from musiclatent.latents.encoders import statistics
from musiclatent.latents.encoders.adapters import hub, own_packages
from musiclatent.latents.encoders.contract import MEMBERS, FrameEncoder
from musiclatent.latents.encoders.packages import musicnn, onnx, torch_files

GROUP = "musiclatent.encoders"  # of entry points, by which other packages add theirs
FETCHED: dict[str, Callable[[], FrameEncoder]] = {  # name -> loader: weights of other packages
    **musicnn.LOADERS,
    **onnx.LOADERS,
    **torch_files.LOADERS,
}
ADAPTERS: dict[str, Callable[[str], FrameEncoder]] = {  # name -> loader of a folder or hub name
    **hub.LOADERS,
    **own_packages.LOADERS,
}


def find(spec: str, results: str | Path = "results") -> FrameEncoder:
    """Find an encoder.

    Parameters
    ----------
    spec
        A name of `list_names`, the folder of one of our models, ``MODULE:CLASS`` (a class without
        arguments, or an object), or ``ADAPTER:FOLDER`` or ``ADAPTER:OWNER/NAME`` such as
        ``mert:m-a-p/MERT-v1-95M``. What follows ``#`` is the layer to take, of an encoder that has
        layers.
    results
        Folder above all results, below which trained models are looked up by name.

    Returns
    -------
    FrameEncoder
        Ready to encode.

    Raises
    ------
    ValueError
        If there is no such encoder or layer, or it lacks a member of the contract.
    CheckpointError
        If its weights are missing or cannot be used; the message says what to do.
    """
    name, _, layer = spec.partition("#")
    encoder = _find(name, results)
    return _at_layer(encoder, layer) if layer else encoder


@lru_cache(maxsize=32)
def find_once(spec: str, results: str | Path) -> FrameEncoder:
    """Find an encoder as `find` does, once in each process."""
    return find(spec, results)


def list_names(results: str | Path = "results") -> list[str]:
    """List the names that `find` takes: statistics, trained here, of packages, entry points.

    Parameters
    ----------
    results
        As in `find`.
    """
    return [*statistics.NAMES, *_trained_names(results), *FETCHED, *ADAPTERS, *_entry_points()]


def _find(name: str, results: str | Path) -> FrameEncoder:
    """Find an encoder by what stands before its layer."""
    kind, colon, where = name.partition(":")
    if name in statistics.NAMES:
        return statistics.Statistics(name)
    if name in FETCHED:
        return FETCHED[name]()
    if kind in ADAPTERS:
        return ADAPTERS[kind](where)
    if name in _entry_points():
        return _made(_loaded(_entry_points()[name].load, name), name)
    if colon and kind != "hub" and not Path(name).exists():
        return _made(_loaded(lambda: _member(kind, where), name), name)
    from musiclatent.latents.encoders import trained  # torch takes seconds

    try:
        return trained.load_trained(name, results)
    except CheckpointError as error:
        if Path(name).is_dir() or colon:
            raise
        others = ", ".join(list_names(results))
        raise CheckpointError(f"{error}; or choose one of: {others}, or MODULE:CLASS") from None


def _trained_names(results: str | Path) -> list[str]:
    """Return the names of models that were trained here."""
    from musiclatent.latents import shipped  # torch takes seconds
    from musiclatent.training.run_folder import read_config

    found = shipped.places(results)
    return list(dict.fromkeys(read_config(p.folder).get("experiment", p.name) for p in found))


def _entry_points() -> dict[str, EntryPoint]:
    """Return the encoders that installed packages add."""
    return {point.name: point for point in entry_points(group=GROUP)}


def _member(module: str, name: str) -> object:
    """Import a module and return one of its members."""
    return getattr(import_module(module), name)


def _loaded(load: Callable[[], object], name: str) -> object:
    """Import what another package gives, or report in one sentence why it cannot be."""
    try:
        return load()
    except Exception as error:  # whatever code of others raises
        reason = one_line(first_line(error))
        raise ValueError(
            f"{name} cannot be imported ({type(error).__name__}: {reason}); give MODULE:CLASS as "
            "in an import, with the module's folder on PYTHONPATH"
        ) from None


def _made(thing: object, name: str) -> FrameEncoder:
    """Return an encoder: an object, or a class that is called without arguments."""
    if inspect.isclass(thing) or (callable(thing) and not hasattr(thing, "encode")):
        thing = _loaded(thing, name)
    lacking = [member for member in MEMBERS if not hasattr(thing, member)]
    if lacking:
        raise ValueError(f"{name} lacks {', '.join(lacking)}; see CONTRIBUTING, An encoder")
    return thing


def _at_layer(encoder: FrameEncoder, layer: str) -> FrameEncoder:
    """Return the encoder whose rows are those of one of its layers."""
    layers = tuple(getattr(encoder, "layers", ()))
    if layer not in layers:
        has = f"choose one of: {', '.join(layers)}" if layers else "it has none to choose from"
        raise ValueError(f"{encoder.name} has no layer {layer!r}; {has}")
    return encoder.at_layer(layer)
