"""Models of the library transformers: MERT, WavLM, CLAP, AST, and the codecs EnCodec and DAC.

Code of others is never run from a hub, and weights that a file lacks are never drawn at random:
such a file is refused.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from musiclatent.errors import CheckpointError, first_line, one_line
from musiclatent.files import pick, sha256_of
from musiclatent.latents.encoders.adapters.shapes import CodecEncoder, TextEncoder, WindowEncoder
from musiclatent.latents.encoders.contract import FrameEncoder

WINDOW_S = 5.0  # of MERT, which was trained on five seconds, and of WavLM


@dataclass(frozen=True)
class Model:
    """A model of transformers.

    Parameters
    ----------
    kind, inputs
        Classes of the network and of what prepares its inputs; none for codecs.
    where
        The place on the hub that is taken unless another is named.
    licence
        Of those weights, as their page states it.
    """

    kind: str
    inputs: str
    where: str
    licence: str


MODELS = {
    "mert": Model("HubertModel", "Wav2Vec2FeatureExtractor", "m-a-p/MERT-v1-95M", "CC-BY-NC-4.0"),
    "wavlm": Model(
        "WavLMModel",
        "Wav2Vec2FeatureExtractor",
        "microsoft/wavlm-base-plus",
        "see its page on the hub",
    ),
    "clap": Model("ClapModel", "ClapFeatureExtractor", "laion/clap-htsat-unfused", "Apache-2.0"),
    "ast": Model(
        "ASTModel",
        "ASTFeatureExtractor",
        "MIT/ast-finetuned-audioset-10-10-0.4593",
        "BSD-3-Clause",
    ),
    "encodec": Model("EncodecModel", "", "facebook/encodec_24khz", "see its page on the hub"),
    "dac": Model("DacModel", "", "descript/dac_44khz", "MIT"),
}


def load(name: str, where: str = "") -> FrameEncoder:
    """Load a model as an encoder.

    Parameters
    ----------
    name
        One of `MODELS`.
    where
        A folder that transformers wrote, or OWNER/NAME on the hub; empty for the usual one.

    Returns
    -------
    FrameEncoder
        With the name, and the place if it is another than the usual one.

    Raises
    ------
    CheckpointError
        If transformers is not installed, or the weights are missing, broken or not whole.
    """
    model = pick(MODELS, name, "adapter")
    place = where or model.where
    network = _loaded(model.kind, place, name)
    about = {
        "name": f"{name}:{where}" if where else name,
        "licence": model.licence if place == model.where else f"see {place}",
        "revision": _revision(place, network),
    }
    if not model.inputs:
        return _codec(network, about)
    inputs = _loaded(model.inputs, place, name)
    if name == "clap":
        return _clap(network, inputs, about, place)
    # AST is as long as its spectrogram, 10 ms a frame
    window_s = inputs.max_length / 100 if name == "ast" else WINDOW_S
    return _by_layer(network, inputs, about, window_s=window_s)


def _transformers(name: str) -> ModuleType:
    """Import the library."""
    try:
        import transformers
    except ImportError:
        raise CheckpointError(
            f"{name} needs transformers; run: pip install 'musiclatent[encoders]'"
        ) from None
    return transformers


def _loaded(kind: str, place: str, name: str) -> Any:
    """Load a network, whole and frozen, or what prepares inputs."""
    cls = getattr(_transformers(name), kind)
    network = hasattr(cls, "forward")
    try:
        if not network:
            return cls.from_pretrained(place)
        model, info = cls.from_pretrained(place, output_loading_info=True)
    except Exception as error:  # transformers raises what its libraries raise
        raise CheckpointError(
            f"{place} cannot be loaded as {name} ({one_line(first_line(error))}); give a folder "
            f"that holds it, as {name}:FOLDER, or connect to the hub"
        ) from None
    if absent := sorted(info["missing_keys"]):
        raise CheckpointError(
            f"{place} lacks {absent[0]!r} and {len(absent) - 1} more that {name} needs; nothing is "
            "drawn at random, so take another folder"
        )
    return model.requires_grad_(False).eval()


def _revision(place: str, network: Any) -> str:
    """Return what says which weights these are: their hash, or the commit on the hub."""
    files = sorted(Path(place).glob("*.safetensors")) if Path(place).is_dir() else []
    if files:
        return sha256_of(files[0])[:16]
    return str(getattr(network.config, "_commit_hash", "") or place)


@torch.inference_mode()
def _hidden(network: Any, inputs: Any, windows: np.ndarray) -> list[np.ndarray]:
    """Return what every layer of a transformer answers to windows (B, N): (B, T, D) each."""
    prepared = inputs(list(windows), sampling_rate=inputs.sampling_rate, return_tensors="pt")
    answers = network(prepared["input_values"], output_hidden_states=True).hidden_states
    return [answer.numpy() for answer in answers]


def _by_layer(network: Any, inputs: Any, about: dict, *, window_s: float) -> WindowEncoder:
    """Return a transformer of one row per window; its last layer unless another is named."""
    layers = tuple(map(str, range(network.config.num_hidden_layers + 1)))
    return WindowEncoder(
        **about | {"revision": f"{about['revision']}-{layers[-1]}"},
        sr=inputs.sampling_rate,
        window_s=window_s,
        answers=partial(_hidden, network, inputs),
        layers=layers,
        layer=layers[-1],
    )


def _clap(network: Any, inputs: Any, about: dict, place: str) -> WindowEncoder:
    """Return CLAP, with words where the place holds a tokenizer."""
    common = about | {
        "sr": inputs.sampling_rate,
        "window_s": inputs.max_length_s,
        "answers": lambda windows: [_clap_sound(network, inputs, windows)],
        "layers": ("projection",),
        "layer": "projection",
        "revision": f"{about['revision']}-projection",
    }
    if Path(place).is_dir() and not (Path(place) / "tokenizer.json").is_file():
        return WindowEncoder(**common)  # transformers would make up a tokenizer without words
    tokenizer = _loaded("AutoTokenizer", place, "clap")
    return TextEncoder(**common, words=partial(_clap_words, network, tokenizer))


def _pooled(answer: Any) -> np.ndarray:
    """Return the vectors (B, D) of an answer: a tensor, or an object that holds one."""
    return getattr(answer, "pooler_output", answer).numpy()


@torch.inference_mode()
def _clap_sound(network: Any, inputs: Any, windows: np.ndarray) -> np.ndarray:
    """Return vectors (B, D) of windows (B, N)."""
    prepared = inputs(list(windows), sampling_rate=inputs.sampling_rate, return_tensors="pt")
    return _pooled(network.get_audio_features(**prepared))


@torch.inference_mode()
def _clap_words(network: Any, tokenizer: Any, words: str) -> np.ndarray:
    """Return the vector (D,) of a text."""
    return _pooled(network.get_text_features(**tokenizer([words], return_tensors="pt")))[0]


def _codec(network: Any, about: dict) -> CodecEncoder:
    """Return a codec: its frames are those between encoder and quantiser."""
    hop = _hop(network)
    width = _rows(network, np.zeros(hop, np.float32)).shape[1]
    return CodecEncoder(
        **about,
        sr=network.config.sampling_rate,
        dimensions=width,
        hop=hop,
        to_rows=partial(_rows, network),
        to_sound=partial(_sound, network),
    )


def _hop(network: Any) -> int:
    """Return samples per frame: the product of the steps of the encoder."""
    steps = getattr(network.config, "downsampling_ratios", None) or network.config.upsampling_ratios
    return int(np.prod(steps))


@torch.inference_mode()
def _rows(network: Any, y: np.ndarray) -> np.ndarray:
    """Return rows (T, D) of samples (N,)."""
    z = network.encoder(torch.from_numpy(np.array(y))[None, None])[0].T.numpy()  # T x D
    missing = max(0, -(-len(y) // _hop(network)) - len(z))  # DAC drops what is left of a frame
    return np.pad(z, ((0, missing), (0, 0)), "edge")


@torch.inference_mode()
def _sound(network: Any, z: np.ndarray) -> np.ndarray:
    """Return samples (N,) of rows (T, D)."""
    return network.decoder(torch.from_numpy(np.array(z)).T[None]).reshape(-1).numpy()


LOADERS = {name: partial(load, name) for name in MODELS}
