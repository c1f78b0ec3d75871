import io
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.models import untrained

from musiclatent import __version__, audio, cli, files
from musiclatent.apps.commands import messages, models, own_music, pages
from musiclatent.audio.windows import Waveform
from musiclatent.data import cache
from musiclatent.evaluation import genre_networks
from musiclatent.evaluation.comparison import cost, robustness
from musiclatent.features import rhythm
from musiclatent.features.mel import LogMel
from musiclatent.latents import representations, shipped, store

CHECKOUT = Path(__file__).resolve().parents[1]


def _run(*argv: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "musiclatent", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """No model that comes with the package, and none that was fetched."""
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_module_is_the_program():
    assert _run("--version").stdout.strip() == f"musiclatent {__version__}"


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert all(
        word in shown
        for word in "data reproduce encode similar explore compare classify say colab".split()
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["reproduce", "--profile", "huge"], "no profile named 'huge'"),
        (["reproduce", "--study", "waves"], "no study named 'waves'"),
        (["reproduce", "--study", "waveform", "--experiment", "x"], "no experiment of the study"),
        (["reproduce", "--experiment", "waveform-64"], "name the study of the experiment"),
        (["record", "--study", "waves"], "no study named 'waves'"),
        (["record", "--study", "genre", "--results", "RESULTS"], "figures of all notebooks"),
        (["data", "fetch", "nothing"], "nothing"),
        (["data", "check", "nothing"], "nothing"),
        (["encode", "a.wav", "--model", "x"], "'x' is neither a folder nor a model trained"),
        (["encode", "a.wav", "--results", "RESULTS"], "EXPERIMENT=waveform-deep"),
        (["encode", "a.wav", "--model", "no_such_module:Name"], "cannot be imported"),
        (["encode", "a.wav", "--model", "hub:tea"], "write hub:OWNER/NAME"),
        (["encode", "a.wav", "--model", "RESULTS"], "holds no whole model"),
        (["similar", "a.wav", "--in", ".", "--model", "mel-x"], "'mel-x' is neither a folder"),
        (["similar", "a.wav", "--in", ".", "--model", "tea+mfcc"], "is neither a folder"),
        (["similar", "a.wav", "--in", ".", "--model", "json:JSONDecoder"], "lacks name, sr"),
        (["explore"], "name a folder of music with --in"),
        (["explore", "--in", "RESULTS"], "the folder holds no audio"),
        (["explore", "--study", "waveform", "--results", "RESULTS"], "has not been trained in"),
        (["explore", "--study", "waveform", "--model", "x"], "no experiment of the study"),
        (["explore", "--study", "waveform", "--profile", "huge"], "no profile named 'huge'"),
        (["explore", "--study", "edm"], "the study edm has no model that encodes"),
        (["say", "7", "--results", "RESULTS"], "EXPERIMENT=digits-vae"),
        (["classify", "a.wav", "--results", "RESULTS"], "EXPERIMENT=genre-joint"),
        (["models", "list", "--results", "RESULTS"], "there are no models; train some with"),
        (["models", "export", "x", "RESULTS"], "'x' is neither a folder"),
        (["models", "push", "x", "hub:a/b"], "'x' is neither a folder"),
        (["models", "pull", "x"], "write hub:OWNER/NAME"),
        (["models", "ship", "x"], "there is no model named 'x'"),
        (["models", "fetch", "tea"], "no package named 'tea'; choose one of: musicnn"),
        (["models", "check", "no_module:Tea"], "no_module:Tea cannot be imported"),
        (["models", "check", "tea", "--results", "RESULTS"], "or choose one of: mfcc"),
        (["compare", "tea", "--results", "RESULTS"], "or choose one of: mfcc, log-mel"),
        (["compare", "mfcc", "mfcc"], "two of the encoders are called mfcc"),
        (["compare", "mfcc", "--in", "RESULTS"], "the folder holds no audio"),
        (["compare", "mfcc", "--in", "no/such", "--results", "RESULTS"], "there is no such folder"),
        (["tag", "a.wav"], "say what to write into the tags: --bpm, --key or both"),
        (["tag", "a.wav", "--bpm", "--tempi", "fast"], "such as 70-140"),
        (["export", ".", "--out", "a.wav"], "let its name end in .xml or .nml"),
        (["export", ".", "--tempi", "140-70"], "such as 70-140"),
        (["playlist", ".", "--out", "a.wav"], "let its name end in .xml, .nml, .xspf or .m3u8"),
        (["mix", ".", "--out", 'say "it".flac'], "choose another name for the mix"),
        (["path", "a.wav", "b.wav", "--in", ".", "--n", "2"], "ask for 3 or more"),
    ],
)
def test_what_does_not_exist_is_one_sentence(argv, words, capsys, tmp_path, bare):
    code = cli.main([str(tmp_path) if word == "RESULTS" else word for word in argv])
    said = capsys.readouterr().err
    assert code == 1 and words in said and "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


def test_an_encoder_is_checked_line_by_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "their_ear.py").write_text(
        "import numpy as np\n"
        "class Ear:\n"
        "    name, sr, window_s, hop_s, dimensions = 'ear', 1000, 1.0, 1.0, 1\n"
        "    licence, revision = 'MIT', '1'\n"
        "    def encode(self, y):\n"
        "        y = np.pad(np.abs(y), (0, -len(y) % 1000)).reshape(-1, 1000)\n"
        "        return y.mean(axis=1, keepdims=True)\n"
        "class Late(Ear):\n"
        "    def encode(self, y):\n"
        "        return super().encode(np.pad(y, (5000, 0))[: len(y)])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.main(["models", "check", "their_ear:Ear"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and all(line.startswith("passed  ") for line in lines)
    assert cli.main(["models", "check", "their_ear:Late"]) == 1
    shown = capsys.readouterr()
    assert "FAILED  time " in shown.out
    assert "ear breaks " in shown.err and " of 10 promises; see above" in shown.err


@pytest.mark.parametrize(
    "argv",
    [
        ["encode", "a.wav"],
        ["similar", "a.wav", "--in", "songs"],
        ["explore", "--study", "waveform"],
        ["explore", "--in", "songs"],
        ["say", "seven"],
        ["classify", "a.wav"],
        ["dashboard"],
        ["listen"],
        ["models", "export", "waveform-64", "out"],
    ],
    ids=lambda argv: argv[0],
)
def test_commands_that_find_nothing_trained_leave_no_folder(tmp_path, monkeypatch, argv, bare):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*argv, "--results", str(tmp_path / "results")]) == 1
    assert not list(tmp_path.iterdir())


def test_similar_needs_nothing_trained_and_leaves_out_the_song_itself(
    rng, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    music = tmp_path / "music"
    music.mkdir()
    for name, length in {"low.wav": 64, "deep.wav": 80, "high.wav": 1}.items():
        y = np.convolve(rng.normal(size=7 * 22_050), np.ones(length) / length, "same")
        audio.write(music / name, 0.9 * y / np.abs(y).max(), 22_050)
    assert cli.main(["similar", "music/low.wav", "--in", "music"]) == 0
    said = capsys.readouterr()
    rows = re.findall(r"^ *\d+ +(\S+) ", said.out, re.MULTILINE)
    assert rows == ["deep.wav", "high.wav"]
    assert f"set aside: {music / 'low.wav'}: it is the same recording as low.wav" in said.err
    page = (tmp_path / "similar" / "similar.html").read_text()
    assert page.count("data:audio/mpeg") == 3 and representations.DEFAULT in page
    options = ["--model", "mfcc", "--same"]
    assert cli.main(["similar", "music/low.wav", "--in", "music", *options]) == 0
    assert "0.000000" in capsys.readouterr().out


def test_compare_needs_no_labels_and_nothing_trained(
    rng, capsys, tmp_path, monkeypatch, one_process
):
    monkeypatch.setattr(cost, "measure", lambda *_, **more: dict.fromkeys(cost.FIGURES, 1.0))
    monkeypatch.setattr(robustness, "KINDS", ("gain 6", "noise 10"))
    music = tmp_path / "music"
    music.mkdir()
    for i in range(4):
        y = np.convolve(rng.normal(size=22_050), np.ones(4 * i + 1), "same")
        audio.write(music / f"{i}.wav", 0.5 * y / np.abs(y).max(), 22_050)
    (music / "broken.wav").write_bytes(b"RIFF no")
    where = ["--out", str(tmp_path / "out"), "--results", str(tmp_path / "results")]
    assert cli.main(["compare", "mfcc", "log-mel", "--in", str(music), *where]) == 0
    said = capsys.readouterr()
    assert "set aside" in said.err and "(mfcc, log-mel)" in said.err
    assert "nothing is read off labels" in said.err
    assert "To recognise damaged copies" in said.out and "kept_gain 6" in said.out
    page = tmp_path / "out" / "comparison.html"
    assert f"to read: {page}" in said.out and page.exists()
    assert (tmp_path / "out" / "maps.html").exists()


def test_ctrl_c_says_that_the_work_is_kept(monkeypatch, capsys):
    def colab(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pages, "colab", colab)
    assert cli.main(["colab"]) == 130
    assert "goes on from here" in capsys.readouterr().err


def test_classify_names_the_genre_and_what_it_sets_aside(monkeypatch, capsys, tmp_path):
    network = SimpleNamespace(
        classes=("jazz", "rock"), probabilities=lambda x: np.tile([0.2, 0.8], (len(x), 1))
    )
    asked = []
    monkeypatch.setattr(
        genre_networks, "read_classifier", lambda where: asked.append(where) or network
    )
    model = untrained(tmp_path, transform=LogMel(window_s=3.0)).folder
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 22_050)
    good, bad = audio.write(tmp_path / "good.wav", noise, 22_050), tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    out = tmp_path / "out"
    argv = ["classify", str(good), str(bad), "--model", str(model)]
    assert cli.main([*argv, "--out", str(out)]) == 0
    assert asked == [model]
    said = capsys.readouterr()
    assert "rock" in said.out and str(out) in said.out and f"set aside: {bad}: " in said.err
    assert {path.name for path in out.iterdir()} == {
        "good.csv", "good.png", "files.csv", "quarantine.csv", files.OWN
    }  # fmt: skip
    assert cli.main(["classify", str(bad), "--model", str(model), "--out", str(out)]) == 1
    words = capsys.readouterr().err.strip().splitlines()[-1]
    assert words.startswith("musiclatent: none of the 1 files can be read")


def test_a_model_that_is_no_classifier_or_draws_nothing_is_one_sentence(tmp_path, capsys):
    model = str(untrained(tmp_path).folder)
    assert cli.main(["classify", "a.wav", "--model", model]) == 1
    assert "not a classifier of genre with its labels" in capsys.readouterr().err
    assert cli.main(["say", "7", "--model", model]) == 1
    assert "sampler.safetensors is missing" in capsys.readouterr().err


def test_encode_takes_a_folder_and_the_class_of_somebody_else(tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    model = untrained(tmp_path, transform=Waveform(8000, 1.0)).folder
    audio.write(tmp_path / "a.wav", 0.1 * rng.normal(size=20_000), 8000)
    assert cli.main(["encode", "a.wav", "--model", str(model), "--out", "ours"]) == 0
    assert (tmp_path / "ours" / "a_reconstruction.wav").exists()
    (tmp_path / "plugged_in.py").write_text(
        "import numpy as np\n"
        "class Mean:\n"
        "    name, sr, window_s, hop_s, dimensions = 'mean', 8000, 1.0, 1.0, 1\n"
        "    licence, revision = 'MIT', '1'\n"
        "    def encode(self, y):\n"
        "        rows = max(1, len(y) // 8000)\n"
        "        return np.resize(y, (rows, 8000)).mean(axis=1, keepdims=True)\n"
    )
    assert cli.main(["encode", "a.wav", "--model", "plugged_in:Mean", "--out", "theirs"]) == 0
    assert "2 rows of 1 numbers of plugged_in:Mean in " in capsys.readouterr().out
    latents = store.read_latents(tmp_path / "theirs")
    assert latents.z.shape == (2, 1) and latents.items["end_s"].tolist() == [1.0, 2.0]
    table = store.nearest(latents.z[:1], latents, k=1)
    assert table["item_id"].tolist() == ["a.wav"]


def test_models_are_listed_and_exported(tmp_path, monkeypatch, capsys, bare):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "results/demo/waveform/checkpoints/small"
    untrained(place.parent).folder.rename(place)
    results = ["--results", str(tmp_path / "results")]
    assert cli.main(["models", "list", *results]) == 0
    assert re.search(r"small +demo .*demo-music", capsys.readouterr().out)
    assert cli.main(["models", "export", "small", "out", *results]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "config.json", "model.safetensors"
    }  # fmt: skip


@pytest.fixture(scope="module")
def dancing(tmp_path_factory):
    """A folder of three tracks with clicks, a copy of one, and a file that is no sound."""
    folder, home = tmp_path_factory.mktemp("songs"), tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    for i, name in enumerate(("a", "b", "c")):
        y = 0.02 * rng.uniform(-1, 1, 23 * 22_050)
        for at in np.arange(0, 22.9, 60 / (120 + i)):
            click = np.exp(-np.arange(1_000) / 100) * np.sin(0.1 * (i + 1) * np.arange(1_000))
            y[round(at * 22_050) :][:1_000] += 0.8 * click
        audio.write(folder / f"{name}.flac", y, 22_050)
    shutil.copy(folder / "a.flac", folder / "z.flac")
    (folder / "broken.flac").write_bytes(b"no sound")
    build, tracks = cache.build, rhythm.analyse_tracks
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSICLATENT_HOME", str(home))
        # no processes of their own for a few short files
        patch.setattr(cache, "build", lambda *args, **more: build(*args, **more | {"n_jobs": 1}))
        patch.setattr(
            rhythm, "analyse_tracks", lambda paths, folder, **_: tracks(paths, folder, n_jobs=1)
        )
        yield [str(folder), "--profile", "tiny", "--model", "classical"]


def _names_what_is_left_out(said: str) -> bool:
    return (
        "set aside: " in said
        and "broken.flac: " in said
        and "left out: z.flac is a copy of a.flac" in said
    )


def test_playlist_writes_sections_and_names_what_it_leaves_out(dancing, capsys, tmp_path):
    out = tmp_path / "list.xspf"
    argv = ["playlist", *dancing, "--of", "neighbours", "--track", "a.flac", "--out", str(out)]
    assert cli.main(argv) == 0
    said = capsys.readouterr()
    tracks = ElementTree.parse(out).findall(".//{*}track")
    assert f"{len(tracks)} sections in {out}" in said.out and "b.flac" in said.out
    assert len(tracks) == 4 and "z.flac" not in out.read_text(encoding="utf-8")
    assert _names_what_is_left_out(said.err) and "compared by classical" in said.err


def test_mix_plays_every_track_and_names_what_it_leaves_out(dancing, capsys, tmp_path):
    out = tmp_path / "mix.flac"
    assert cli.main(["mix", *dancing, "--beats", "8", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert f"minutes in {out}" in said.out and _names_what_is_left_out(said.err)
    sheet = out.with_suffix(".cue").read_text(encoding="utf-8")
    assert sorted(re.findall(r'TITLE "(.*)"', sheet)) == ["a.flac", "b.flac", "c.flac"]
    assert 40 < audio.info(out).seconds < 3 * 23
    assert all(out.with_suffix(suffix).exists() for suffix in (".xml", ".nml", ".m3u8"))


def test_a_copy_stands_for_the_track_that_is_kept(dancing, capsys, tmp_path):
    for track in ("z.flac", f"{dancing[0]}/a.flac"):
        options = ["--of", "neighbours", "--track", track, "--out", str(tmp_path / "l.xspf")]
        assert cli.main(["playlist", *dancing, *options]) == 0
        assert "b.flac" in capsys.readouterr().out


def test_what_a_folder_holds_beside_music_is_said(dancing, capsys, tmp_path):
    folder = tmp_path / "songs"
    shutil.copytree(dancing[0], folder)
    (folder / "cover.jpg").write_bytes(b"x")
    (folder / "\x1b[31mred\n.txt").write_bytes(b"x")
    options = ["--of", "cluster", "--k", "1", "--out", str(folder / "l.xspf")]
    assert cli.main(["playlist", str(folder), *dancing[1:], *options]) == 0
    said = capsys.readouterr().err
    assert "1 cover" in said and "1 text" in said and "passed over; --verbose names each" in said
    assert cli.main(["playlist", str(folder), *dancing[1:], *options, "--verbose"]) == 0
    said = capsys.readouterr().err
    assert "cover.jpg: it is no music by its suffix" in said and "1 own file" in said
    assert "\\x1b[31mred\\n.txt: it is no music" in said and "\x1b" not in said


def test_our_own_mix_is_replaced_and_no_other_file(dancing, capsys, tmp_path, monkeypatch):
    folder = tmp_path / "songs"
    shutil.copytree(dancing[0], folder)
    monkeypatch.chdir(folder)
    for _ in range(2):
        assert cli.main(["mix", ".", *dancing[1:], "--beats", "8"]) == 0
        assert "mix.flac " not in capsys.readouterr().out
    assert cli.main(["mix", ".", *dancing[1:], "--out", "a.flac"]) == 1
    assert "a.flac is one of the tracks; write the mix elsewhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("playlist", ["--of", "best"], "there is no kind of playlist named 'best'"),
        ("playlist", ["--of", "neighbours", "--track", "q.flac"], "there is no track 'q.flac'"),
        ("playlist", ["--of", "neighbours", "--track", "a.flac", "--at", "99"], "at 99 s"),
        ("playlist", ["--of", "cluster", "--k", "2", "--cluster", "7"], "cluster 7"),
        ("playlist", ["--out", "list.txt"], "list.txt"),
        ("playlist", ["--model", "tea"], "'tea'"),
        ("mix", ["--beats", "5"], "a fade of 5 beats"),
        ("mix", ["--out", "mix.mp3"], "mix.mp3"),
    ],
)
def test_what_a_folder_does_not_hold_is_one_sentence(
    dancing, command, options, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.main([command, *dancing, *options]) == 1
    said = capsys.readouterr().err
    assert words in said.strip().splitlines()[-1] and "Traceback" not in said
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["playlist", "mix"])
def test_a_folder_that_is_missing_or_empty_is_one_sentence(command, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path / "home"))
    assert cli.main([command, str(tmp_path / "nowhere")]) == 1
    assert "there is no such folder; name a folder of music" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert cli.main([command, str(tmp_path / "empty"), "--profile", "tiny"]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "empty" in said[0]
    assert cli.main([command, str(tmp_path), "--profile", "huge"]) == 1
    assert "no profile named 'huge'" in capsys.readouterr().err


def test_a_dashboard_that_was_not_made_names_the_command(tmp_path, capsys):
    assert cli.main(["dashboard", "--results", str(tmp_path)]) == 1
    assert "`make reproduce STUDY=edm PROFILE=demo` makes it" in capsys.readouterr().err
    assert cli.main(["dashboard", "--results", str(tmp_path), "--profile", "dmo"]) == 1
    assert "there is no profile named 'dmo'" in capsys.readouterr().err


def test_a_listening_page_that_was_not_made_names_the_command(tmp_path, capsys):
    assert cli.main(["listen", "--results", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "holds no listening page; make one with: make reproduce PROFILE=demo STUDY=wave" in said
    assert cli.main(["listen", "--results", str(tmp_path), "--profile", "dmo"]) == 1
    assert "there is no profile named 'dmo'" in capsys.readouterr().err


class Narrow(io.TextIOWrapper):
    """A stream of ASCII."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="ascii", errors="strict")


def test_a_stream_that_cannot_hold_a_name_shows_an_escape(monkeypatch):
    stream = Narrow()
    monkeypatch.setattr(sys, "stdout", stream)
    with messages.speaking():
        print("Björk 音楽")
    assert stream.buffer.getvalue() == b"Bj\\xf6rk \\u97f3\\u697d\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full")
@pytest.mark.parametrize("where", ["> /dev/full", "| true"])
def test_a_full_device_or_a_closed_pipe_ends_no_command(where, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_HOME", str(CHECKOUT))
    (tmp_path / "command.py").write_text(
        "import pathlib, sys, time\n"
        "from musiclatent import cli\n"
        "from musiclatent.apps.commands import pages\n"
        "def colab(arguments):\n"
        "    pathlib.Path(arguments.out, 'work.ipynb').write_text('{}')\n"
        "    time.sleep(0.3)\n"
        "    print('written to', arguments.out)\n"
        "pages.colab = colab\n"
        "sys.exit(cli.main())\n"
    )
    words = f"'{sys.executable}' '{tmp_path / 'command.py'}' colab --out '{tmp_path}'"
    command = f"set -o pipefail; {words} {where}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.glob("*.ipynb"))


def test_places_are_seen_from_where_the_command_was_given(monkeypatch, tmp_path):
    asked = []

    def encode(arguments):
        asked.append(arguments)

    monkeypatch.setattr(own_music, "encode", encode)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    cli.main(["encode", "a.wav", "~/b c.wav", "--results", "~/r", "--out", "o"])
    got = asked[0]
    assert got.files == [tmp_path / "a.wav", tmp_path / "me" / "b c.wav"]
    assert (got.out, got.results) == (tmp_path / "o", str(tmp_path / "me" / "r"))
    cli.main(["encode", "a.wav"])
    assert asked[1].results == "results"  # of the checkout


@pytest.mark.parametrize(
    ("sounds", "words"),
    [
        ([1, 2, 3], "the study waveform needs 4 recordings with sound .* the folder holds 3; add"),
        ([1, 1, 1, 1, 1], "the folder holds 1; add some"),
        ([0, 0, 0, 0], "the folder holds 0; add some"),
    ],
    ids=["three", "all the same", "silence on an offset"],
)
def test_a_small_folder_is_refused_before_the_work(sounds, words, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_HOME", str(CHECKOUT))
    for i, seed in enumerate(sounds):
        noise = np.random.default_rng(seed).uniform(-0.5, 0.5, 4 * 22_050)
        y = noise if seed else np.full(4 * 22_050, 0.1)
        audio.write(tmp_path / "few" / f"{i}.wav", (1 - 0.1 * i) * y, 22_050)
    argv = ["reproduce", "--study", "waveform", "--profile", "tiny"]
    where = ["--corpus", str(tmp_path / "few"), "--results", str(tmp_path / "r")]
    assert cli.main([*argv, *where]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert re.search(words, said[-1]) and not list(tmp_path.rglob("*.ipynb"))


def test_a_name_typed_with_composed_accents_is_found(monkeypatch, tmp_path):
    asked = []

    def encode(arguments):
        asked.append(arguments)

    monkeypatch.setattr(own_music, "encode", encode)
    apart = [unicodedata.normalize("NFD", name) for name in ("Müsli", "Café.wav")]
    (tmp_path / apart[0]).mkdir()
    (tmp_path / apart[0] / apart[1]).write_bytes(b"x")
    cli.main(["encode", unicodedata.normalize("NFC", f"{tmp_path}/Müsli/Café.wav")])
    assert asked[0].files == [tmp_path / apart[0] / apart[1]]


def test_an_error_forges_no_line(capsys, tmp_path):
    assert cli.main(["playlist", str(tmp_path / "a\n\x1b[2Jmusiclatent: all is well")]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "\x1b" not in said and "\\x1b[2J" in said


def test_a_model_is_that_of_a_profile_or_a_folder_where_one_is_named(tmp_path):
    where = {"results": str(tmp_path), "corpus": ""}
    assert models.trained("mine", profile="", **where) == "mine"
    found = models.trained("", profile="tiny", **where)
    assert Path(found).relative_to(tmp_path) == Path("tiny/waveform/checkpoints/waveform-64")
    found = models.trained("mel-cae-1", profile="", results=str(tmp_path), corpus="sets")
    assert Path(found).relative_to(tmp_path).parts[1:] == ("mel", "checkpoints", "mel-cae-1")
    assert Path(found).relative_to(tmp_path).parts[0].startswith("demo-sets-")
    with pytest.raises(ValueError, match="there is no model of ours named 'mine'; choose one of: "):
        models.trained("mine", profile="tiny", **where)
