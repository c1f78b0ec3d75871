"""A research workbench for latent representations of music.

What a script needs, from any working directory; the rooms hold the rest:

>>> import tempfile
>>> import numpy as np
>>> import musiclatent as ml
>>> from musiclatent.audio.windows import Waveform
>>> from musiclatent.models.waveform import WaveformAutoencoder
>>> from musiclatent.training.run_folder import write_model
>>> model = WaveformAutoencoder(maps=4)                 # untrained; training leaves such a folder
>>> folder = write_model(tempfile.mkdtemp(), model, transform=Waveform(8000, 0.5))
>>> encoder = ml.load_encoder(folder)
>>> y = np.sin(np.arange(9000) / 20)                    # or a path
>>> z = encoder.encode(y)                               # (B, K, T), one row per window
>>> len(encoder.decode(z)) == len(y)
True
>>> ml.nearest(encoder.embed(z)[0], encoder.embed(z), k=1)["row"].tolist()
[0]
"""

from importlib import import_module

from musiclatent.files import find_room

__version__ = "0.1.0"

find_room()  # before numba is imported

_FACE = {
    "datamodule": "data.datamodules.datamodule",
    "interpolate": "latents.encoder.interpolate",
    "list_encoders": "latents.encoder.list_encoders",
    "load_audio": "audio.io.read",
    "load_encoder": "latents.encoder.load_encoder",
    "nearest": "latents.store.nearest",
    "open_corpus": "data.corpus.open_corpus",
    "read_latents": "latents.store.read_latents",
    "save_audio": "audio.io.write",
    "show_map": "display.map_widget.show_map",
}


def __getattr__(name: str) -> object:
    """Import a name of the face when it is first used: torch takes seconds."""
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _FACE[name].rpartition(".")
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    """List the face beside what is imported."""
    return sorted({*globals(), *_FACE})
