import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from musiclatent import __version__, audio, cli, config, networks


def _run(*argv: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "musiclatent", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_module_is_the_program():
    assert _run("--version").stdout.strip() == f"musiclatent {__version__}"


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert all(
        word in shown for word in "data reproduce encode similar explore classify say colab".split()
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["reproduce", "--profile", "huge"], "no profile named 'huge'"),
        (["reproduce", "--study", "waves"], "no study named 'waves'"),
        (["reproduce", "--study", "waveform", "--experiment", "x"], "no experiment of the study"),
        (["reproduce", "--experiment", "waveform-64"], "name the study of the experiment"),
        (["data", "fetch", "nothing"], "nothing"),
        (["data", "check", "nothing"], "nothing"),
        (["encode", "a.wav", "--profile", "huge"], "no profile named 'huge'"),
        (["encode", "a.wav", "--experiment", "x"], "no experiment of the study"),
        (["encode", "a.wav", "--results", "RESULTS"], "has not been trained in"),
        (["encode", "a.wav", "--study", "edm"], "the study edm has no model that encodes"),
        (["encode", "a.wav", "--study", "mel", "--results", "RESULTS"], "has not been trained in"),
        (["similar", "a.wav", "--in", ".", "--results", "RESULTS"], "has not been trained in"),
        (["explore", "--results", "RESULTS"], "has not been trained in"),
        (["say", "7", "--results", "RESULTS"], "has not been trained in"),
        (["classify", "a.wav", "--profile", "huge"], "no profile named 'huge'"),
        (["classify", "a.wav", "--results", "RESULTS"], "train the classifier with: make reprod"),
    ],
)
def test_what_does_not_exist_is_one_sentence(argv, words, capsys, tmp_path):
    code = cli.main([str(tmp_path) if word == "RESULTS" else word for word in argv])
    said = capsys.readouterr().err
    assert code == 1 and words in said and "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


def test_ctrl_c_says_that_the_work_is_kept(monkeypatch, capsys):
    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run_colab", stop)
    assert cli.main(["colab"]) == 130
    assert "goes on from here" in capsys.readouterr().err


def test_classify_names_the_genre_and_what_it_sets_aside(monkeypatch, capsys, tmp_path):
    network = SimpleNamespace(
        classes=("jazz", "rock"), probabilities=lambda x: np.tile([0.2, 0.8], (len(x), 1))
    )
    asked = []
    monkeypatch.setattr(networks, "read", lambda *where: asked.append(where) or network)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 22_050)
    good, bad = audio.write(tmp_path / "good.wav", noise, 22_050), tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    out = tmp_path / "out"
    argv = ["classify", str(good), str(bad), "--profile", "tiny", "--results", str(tmp_path)]
    assert cli.main([*argv, "--out", str(out)]) == 0
    base = config.Workspace("tiny", "genre", "", str(tmp_path)).base
    assert asked == [(base / "genre" / networks.FINAL / "genre-joint", "tiny")]
    said = capsys.readouterr()
    assert "rock" in said.out and str(out) in said.out and f"set aside: {bad}: " in said.err
    assert {path.name for path in out.iterdir()} == {
        "good.csv", "good.png", "files.csv", "quarantine.csv"
    }  # fmt: skip
    assert cli.main(["classify", str(bad), "--out", str(out)]) == 1
    words = capsys.readouterr().err.strip().splitlines()[-1]
    assert words.startswith("musiclatent: none of the 1 files can be read")
