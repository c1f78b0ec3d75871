"""Count the cases of ``../shared/cases`` that give what their scripts expect.

Each script makes files of a kind that broke; here is what must come out. Commands are run as a user
runs them, in folders that are removed afterwards.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import common
import numpy as np

from musiclatent import audio
from musiclatent.features import fingerprint

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases"
KEYS = ("cases", "as_expected")
PROGRAM = [sys.executable, "-m", "musiclatent"]
TRAIN = ["--study", "waveform", "--experiment", "waveform-64", "--profile", "tiny"]
FROM_CHECKOUT = ("PYTHONPATH", "MUSICLATENT_HOME")
OFFLINE = ["--numbers", "classical"]


class Place:
    """Where a case has its files, and its commands their results.

    Parameters
    ----------
    folder
        Of the files that the script has made.
    work
        Where commands are given, and their results go.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder, self.work = folder, work

    def run(self, *argv: str | Path, cwd: Path | None = None, **environment: str):
        """Run the command; return what it printed, and how it ended."""
        own = {"PYTHONPATH": str(ROOT), "MUSICLATENT_HOME": str(ROOT)}
        options = {"capture_output": True, "text": True, "check": False, "errors": "replace"}
        command = [*PROGRAM, *map(str, argv)]
        place = {"cwd": cwd or self.work, "env": os.environ | own | environment}
        return subprocess.run(command, **place, **options)

    def dance(self, kind: str, folder: Path | str, *options: str, **more):
        """Run `playlist` or `mix` on a folder by descriptors, which need no network."""
        results = ["--results", self.work / "results"]
        return self.run(kind, folder, *OFFLINE, *results, *options, **more)

    def train(self, folder: Path, *options: str):
        """Run a study on a folder."""
        asked = options or TRAIN
        return self.run("reproduce", *asked, "--corpus", folder, "--results", self.work / "results")


def seconds(path: Path) -> float:
    """Return how many seconds of a file are read; those of none where it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            y, sr = audio.read(path)
        except ValueError:
            return 0.0
    return len(y) / sr


def lasts(expected_s: float, pattern: str = "*", slack_s: float = 0.3) -> Callable[[Place], bool]:
    """Return the check that every file is read, at a length."""

    def check(place: Place) -> bool:
        """Read them."""
        read = [seconds(path) for path in sorted(place.folder.glob(pattern))]
        return bool(read) and all(abs(s - expected_s) <= slack_s for s in read)

    return check


def is_sentence(done) -> bool:
    """Return whether a command ended well, or with one sentence and no traceback."""
    said = [line for line in done.stderr.splitlines() if line.startswith("musiclatent: ")]
    return "Traceback" not in done.stderr and (done.returncode == 0 or len(said) == 1)


def chained(place: Place) -> bool:
    """Read both links: 40 s, and 36.75 s of Opus."""
    return lasts(40, "*.ogg")(place) and lasts(36.75, "*.opus")(place)


def padded(place: Place) -> bool:
    """Read all seven."""
    return len(list(place.folder.iterdir())) == 7 and lasts(30)(place)


def cancelled(place: Place) -> bool:
    """Read channels that cancel as one of them, with a word."""
    peaks = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        paths = [*place.folder.glob("opposite_*"), *place.folder.glob("nearly_*")]
        peaks += [np.abs(audio.read(path)[0]).max() for path in paths]
    return min(peaks) > 0.3 and sum("cancel" in str(w.message) for w in said) == 6


def offset(place: Place) -> bool:
    """Name the silence on an offset, and mix what sounds."""
    done = place.dance("mix", place.folder, "--out", "m.flac")
    silent = re.search(r"silence_on_offset\.wav: it is silent", done.stderr)
    return done.returncode == 0 and bool(silent) and "silence_on_offset" not in done.stdout


def suffixes(place: Place) -> bool:
    """Read eight formats, and name each of the five that hold no sound."""
    done = place.dance("playlist", place.folder, "--of", "cluster", "--k", "1", "--n", "99")
    heard = all(f"a_{kind}.{kind}" in done.stdout for kind in ("aifc", "w64", "caf", "rf64"))
    copies = all(re.search(rf"{name} ", done.stdout + done.stderr) for name in ("b_long.wave",))
    return heard and copies and done.stderr.count("set aside: ") == 5


def short_copies(place: Place) -> bool:
    """Put the three copies of each one-shot into one group, and no two sounds into one."""
    paths = sorted(place.folder.iterdir())
    groups = fingerprint.connected_groups(len(paths), fingerprint.find_duplicates(paths))
    names = [path.name[:3] for path in paths]
    return len(set(zip(names, groups, strict=True))) == len(set(groups)) == len(set(names)) == 24


def decomposed(place: Place) -> bool:
    """Find a track by its name as keyboards type it; list the bytes that the disk has."""
    asked = ["--of", "neighbours", "--track", "Café del Mar.wav", "--at", "20"]
    found = place.dance("playlist", place.folder, *asked, "--out", "n.xspf")
    place.dance("playlist", place.folder, "--out", "c.m3u8")
    text = (place.work / "c.m3u8").read_bytes()
    names = {path.name.encode() for path in place.folder.iterdir()}
    lines = {line.rpartition(b"/")[2] for line in text.splitlines() if not line.startswith(b"#")}
    return found.returncode == 0 and bool(lines) and lines <= names


def narrow_stdout(place: Place) -> bool:
    """End well whatever the stream can hold, and where its reader is gone."""
    asked = ["--of", "cluster", "--k", "1"]
    posix = {"PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}
    ways = [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii"}, posix]
    return all(place.dance("playlist", place.folder, *asked, **way).returncode == 0 for way in ways)


def linked(place: Place) -> bool:
    """Walk a linked folder once, read a linked file, set a dangling link aside, and train."""
    music = place.folder / "music"
    done = place.dance("playlist", music, "--of", "cluster", "--k", "1", "--n", "99")
    heard = "from_disk/linked0.wav" in done.stdout and "single.wav" in done.stdout + done.stderr
    aside = "set aside: " in done.stderr and "gone.wav" in done.stderr
    return heard and aside and place.train(music).returncode == 0


def own_output(place: Place) -> bool:
    """Mix the same four tracks a second time."""
    runs = [place.dance("mix", ".", cwd=place.folder) for _ in range(2)]
    return all(done.returncode == 0 for done in runs) and "mix.flac " not in runs[1].stdout


def dollars(place: Place) -> bool:
    """Draw names that look like TeX."""
    return place.train(place.folder).returncode == 0


def spaces(place: Place) -> bool:
    """Keep paths with spaces whole in make, and know the home folder."""
    shown = []
    for given in (str(place.folder / "My Passport"), "~/sets"):
        make = ["make", "-pn", "help", f"MUSICLATENT_DATA={given}"]
        done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=False)
        shown += re.findall(r"^MUSICLATENT_DATA := (.*)$", done.stdout, re.MULTILINE)
    return shown == [str(place.folder / "My Passport"), str(Path("~/sets").expanduser())]


def relative(place: Place) -> bool:
    """Take a relative folder from the working directory in every command, and as a wheel."""
    trained = place.run("reproduce", *TRAIN, "--corpus", "sets", "--results", "r", cwd=place.folder)
    asked = ["encode", "sets/t0.wav", "--profile", "tiny", "--corpus", "sets", "--results", "r"]
    encoded = place.run(*asked, cwd=place.folder)
    listed = place.dance("playlist", "sets", cwd=place.folder)
    done = trained.returncode == encoded.returncode == listed.returncode == 0
    return done and as_wheel(place)


def as_wheel(place: Place) -> bool:
    """Say without a checkout where the notebooks are, and list sections all the same."""
    command = installed(place.work / "wheel")
    # Nothing may lead to this checkout.
    bare = {name: value for name, value in os.environ.items() if name not in FROM_CHECKOUT}
    options = {"cwd": place.folder, "env": bare, "capture_output": True, "text": True}
    asked = ["reproduce", "--study", "waveform", "--profile", "tiny", "--corpus", "sets"]
    refused = subprocess.run([command, *asked], check=False, **options)
    listed = subprocess.run([command, "playlist", "sets", *OFFLINE], check=False, **options)
    told = "the notebooks are in the checkout only" in refused.stderr
    return refused.returncode == 1 and is_sentence(refused) and told and listed.returncode == 0


def installed(folder: Path) -> Path:
    """Install the package as a wheel, beside what this Python has; return its command."""
    source, home = folder / "source", folder / "venv"
    for name in ("musiclatent", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, source / name)
    local = ["--no-deps", "--no-index"]
    pip = [sys.executable, "-m", "pip", "-q"]
    steps = [
        [*pip, "wheel", *local, "--no-build-isolation", "-w", str(folder), str(source)],
        [sys.executable, "-m", "venv", "--without-pip", str(home)],
    ]
    for step in steps:
        subprocess.run(step, check=True, stdout=subprocess.DEVNULL)
    program, (wheel,) = home / "bin" / "python", folder.glob("*.whl")
    install = [*pip, "--python", str(program), "install", *local, str(wheel)]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    (packages,) = home.glob("lib/python*/site-packages")
    # Its libraries, but not the package that is installed there as a link to a checkout.
    (packages / "present.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return program.with_name("musiclatent")


def tiny(place: Place) -> bool:
    """End well, or in one sentence, on folders of none to three tracks."""
    for name in ("n0", "n1", "n2", "n3", "brief"):
        for kind, out in (("playlist", "p.xspf"), ("mix", "m.flac")):
            if not is_sentence(place.dance(kind, place.folder / name, "--out", out)):
                return False
    studies = [(s, n) for s in ("waveform", "edm") for n in ("n1", "n3")]
    return all(
        is_sentence(place.train(place.folder / n, "--study", s, "--profile", "tiny"))
        for s, n in studies
    )


def drums(place: Place) -> bool:
    """Give drums, noise and a siren no key."""
    from musiclatent.features import rhythm, tonal

    paths = sorted(map(str, place.folder.glob("*.wav")))
    tracks, _ = rhythm.analyse_tracks(paths, place.work / "rhythm")
    keys = {Path(path).name: track.key() for path, track in tracks.items()}
    none = {name for name, key in keys.items() if key == tonal.NO_KEY}
    return none == {name for name in keys if not name.startswith("tonal")}


def tempi(place: Place) -> bool:
    """Find the tempo of the name, or its half or double."""
    from musiclatent.features import rhythm

    paths = sorted(map(str, place.folder.glob("*.wav")))
    tracks, _ = rhythm.analyse_tracks(paths, place.work / "rhythm")
    for path, track in tracks.items():
        octaves = np.log2(track.rhythm.tempo / int(path[-7:-4]))
        if abs(octaves - round(octaves)) > 0.03:
            return False
    return True


def hidden(place: Place) -> bool:
    """Leave no silence above a second in the mix."""
    out = place.work / "m.flac"
    done = place.dance("mix", place.folder, "--out", str(out))
    y, sr = audio.read(out) if done.returncode == 0 else (np.zeros(9), 1)
    peaks = np.abs(y[: len(y) // sr * sr]).reshape(-1, sr).max(axis=1)
    quiet = "".join("q" if peak < 1e-3 else "." for peak in peaks)
    return max(map(len, re.findall("q+", quiet)), default=0) <= 1


def addresses(place: Place) -> bool:
    """Write names that players cut as addresses, and the others as they are."""
    asked = ["--of", "cluster", "--k", "1", "--n", "99", "--out", place.folder / "inside.m3u8"]
    done = place.dance("playlist", place.folder, *asked)
    lines = (place.folder / "inside.m3u8").read_text().splitlines() if not done.returncode else []
    lines = [line for line in lines if not line.startswith("#")]
    plain = [line for line in lines if not line.startswith("file:///")]
    return bool(plain) and not any(re.search(r"[#?%]|^[^/]*:", line) for line in plain)


def cue_sheet(place: Place) -> bool:
    """Name the file that lies beside the sheet, or refuse a name that a sheet cannot hold."""
    refused = place.dance("mix", place.folder / "short", "--out", 'say "it".flac')
    done = place.dance("mix", place.folder / "short", "--out", "say it.flac")
    sheet = place.work / "say it.cue"
    named = sheet.exists() and 'FILE "say it.flac"' in sheet.read_text()
    return refused.returncode == 1 and is_sentence(refused) and done.returncode == 0 and named


QUICK = {
    "01_chained_ogg": chained,
    "02_joined_mp3": lasts(40),
    "03_cover_art_mp3": lasts(60),
    "04_padded_mp3": padded,
    "07_anti_phase": cancelled,
    "11_short_copies": short_copies,
    "21_make_spaces": spaces,
}
ALL = QUICK | {
    "08_dc_offset": offset,
    "09_unseen_suffixes": suffixes,
    "13_nfc_nfd": decomposed,
    "15_ascii_stdout": narrow_stdout,
    "16_symlinks": linked,
    "18_own_output": own_output,
    "20_dollar_names": dollars,
    "22_relative_corpus": relative,
    "28_tiny_corpus": tiny,
    "29_drums_key": drums,
    "30_tempo_octave_and_waltz": tempi,
    "31_hidden_track": hidden,
    "32_m3u8_names": addresses,
    "33_cue_sheet": cue_sheet,
}


def count(cases: dict[str, Callable[[Place], bool]]) -> common.Figures:
    """Make the files of each case, run its check, and count those that hold."""
    held = 0
    for name, check in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            place = Place(Path(folder, "files"), Path(folder, "work"))
            place.work.mkdir()
            script = next(CASES.glob(f"{name}.*"))
            program = [sys.executable] if script.suffix == ".py" else ["sh"]
            made = [*program, str(script), str(place.folder)]
            subprocess.run(
                made, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PROJECT": str(ROOT)}
            )
            right = check(place)
        held += right
        print(
            f"{name}: {'as expected' if right else 'NOT as expected'}", file=sys.stderr, flush=True
        )
    return {"cases": float(len(cases)), "as_expected": float(held)}


if __name__ == "__main__":
    asked = os.environ.get("CASES", "").split()
    chosen = {name: ALL[name] for name in ALL if not asked or name[:2] in asked}
    missing = "" if CASES.is_dir() else f"there is no folder {CASES}"
    common.run(KEYS, full=lambda: count(chosen), quick=lambda: count(QUICK), lacks=missing)
