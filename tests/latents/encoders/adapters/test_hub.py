"""Adapters of transformers with tiny models of random configuration: shapes, times and rates."""

import numpy as np
import pytest
import torch

from musiclatent.errors import CheckpointError
from musiclatent.latents.encoders import checker, contract, registry
from musiclatent.latents.encoders.adapters import hub

transformers = pytest.importorskip(
    "transformers", reason="install it with: pip install 'musiclatent[encoders]'"
)
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 16}
SHAPES = {  # Hz, numbers in a row, seconds of a window
    "mert": (16_000, 16, 5.0),
    "clap": (16_000, 12, 2.0),
    "ast": (16_000, 16, 1.28),
    "encodec": (24_000, 8, 320 / 24_000),
    "dac": (16_000, 32, 64 / 16_000),
    "wavlm": (16_000, 16, 5.0),
}


def _mert(folder):
    config = transformers.HubertConfig(
        **SMALL, conv_dim=[8] * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2
    )
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)


def _clap(folder):
    audio = {"spec_size": 32, "num_mel_bins": 8, "patch_size": 4, "patch_stride": [4, 4]}
    audio |= {"depths": [1, 1], "num_attention_heads": [1, 2], "patch_embeds_hidden_size": 8}
    audio |= {"hidden_size": 16, "window_size": 2, "projection_dim": 12}
    text = SMALL | {"vocab_size": 50, "projection_dim": 12, "max_position_embeddings": 40}
    config = transformers.ClapConfig(audio_config=audio, text_config=text, projection_dim=12)
    transformers.ClapModel(config).save_pretrained(folder)
    transformers.ClapFeatureExtractor(
        feature_size=8,
        sampling_rate=16_000,
        hop_length=1000,
        max_length_s=2,
        fft_window_size=1024,
        frequency_max=8000,
        truncation="rand_trunc",
        padding="repeatpad",
    ).save_pretrained(folder)


def _ast(folder):
    config = transformers.ASTConfig(**SMALL, max_length=128, num_mel_bins=16)
    transformers.ASTModel(config).save_pretrained(folder)
    inputs = transformers.ASTFeatureExtractor(max_length=128, num_mel_bins=16)
    inputs.save_pretrained(folder)


def _encodec(folder):
    config = transformers.EncodecConfig(
        num_filters=4, hidden_size=8, codebook_dim=8, codebook_size=16
    )
    transformers.EncodecModel(config).save_pretrained(folder)


def _dac(folder):
    config = transformers.DacConfig(
        encoder_hidden_size=4,
        decoder_hidden_size=16,
        codebook_dim=2,
        codebook_size=16,
        n_codebooks=2,
        downsampling_ratios=[4, 4, 4],
        upsampling_ratios=[4, 4, 4],
    )
    transformers.DacModel(config).save_pretrained(folder)


def _wavlm(folder):
    config = transformers.WavLMConfig(
        **SMALL, conv_dim=[8] * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2
    )
    transformers.WavLMModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)


MAKERS = {"mert": _mert, "clap": _clap, "ast": _ast}
MAKERS |= {"encodec": _encodec, "dac": _dac, "wavlm": _wavlm}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    torch.manual_seed(0)
    made = {}
    for name, make in MAKERS.items():
        made[name] = tmp_path_factory.mktemp(name)
        make(made[name])
    return made


@pytest.mark.parametrize("name", SHAPES)
def test_shape_time_and_rate(name, folders):
    encoder = registry.find(f"{name}:{folders[name]}")
    assert (encoder.sr, encoder.dimensions) == SHAPES[name][:2]
    assert encoder.window_s == pytest.approx(SHAPES[name][2])
    lines = {line.check: line for line in checker.check(encoder)}
    # random weights need not tell one chord from another
    failed = [str(line) for line in lines.values() if not line.passed and line.check != "rates"]
    assert not failed, "\n".join(failed)
    assert encoder.name == f"{name}:{folders[name]}" and str(folders[name]) in encoder.licence
    assert len(encoder.revision.partition("-")[0]) == 16


@pytest.mark.parametrize("name", SHAPES)
def test_pooling(name, folders, rng):
    encoder = hub.load(name, str(folders[name]))
    y = rng.uniform(-0.5, 0.5, 11 * encoder.sr).astype(np.float32)
    z = contract.encode_sound(encoder, y)
    energy = contract.row_energy(encoder, y, len(z))
    widths = {how: len(contract.pool(z, how, energy=energy)) for how in contract.POOLINGS}
    d = encoder.dimensions
    assert widths == {"mean": d, "mean+deviation": 2 * d, "energy": d}


def test_a_layer_of_mert(folders):
    encoder = registry.find(f"mert:{folders['mert']}#1")
    assert encoder.layers == ("0", "1", "2") and encoder.name.endswith("#1")
    assert encoder.revision.endswith("-1")


def test_words_of_clap_need_a_tokenizer(folders, tmp_path):
    assert not hasattr(hub.load("clap", str(folders["clap"])), "embed_text")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["<pad>", "<unk>", "a", "piano"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>"
    )
    _clap(tmp_path)
    fast.save_pretrained(tmp_path)
    encoder = hub.load("clap", str(tmp_path))
    assert encoder.embed_text("a piano").shape == (12,)


def test_weights_that_are_missing_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="cannot be loaded as mert.*as mert:FOLDER") as caught:
        hub.load("mert", str(tmp_path / "nothing"))
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_whole_are_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    for path in folders["encodec"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    file = tmp_path / "model.safetensors"
    state = {k: v for k, v in load_file(file).items() if not k.startswith("decoder.layers.0")}
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks 'decoder.layers.0.*nothing is drawn at rand"):
        hub.load("encodec", str(tmp_path))


def test_without_transformers_it_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(CheckpointError, match=r"mert needs transformers; run: pip install"):
        hub.load("mert")
