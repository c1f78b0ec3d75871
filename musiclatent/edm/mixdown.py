"""The automatic DJ, in sound: a route rendered as one mix with beat-matched crossfades.

Times are in seconds of the mix, or of a track where it says so. Where two tracks are matched, lines
are fitted to the beats of both, and the incoming track is played faster or slower, as on a
turntable, so that its line lies on the other's. After the fade it glides back to its own tempo.
One time map serves the sound, the cue sheet and the measurement of beats.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import audio
from musiclatent.edm.decks import silence
from musiclatent.edm.decks.deck import BLOCK, Deck, alone_s, mixed, source
from musiclatent.edm.decks.silence import Cuts
from musiclatent.edm.sequencing import REACH, Route
from musiclatent.errors import AudioError
from musiclatent.features.rhythm import STABLE, Rhythm
from musiclatent.files import progress

BEATS = 32  # of the outgoing track, eight bars
FADES = (64, 32, 16, 8, 4)  # beats of a fade in bars of four, halved where there is no room
GLIDE = 4  # bars after a fade in which a track comes back to its own tempo; less where it is short
PLAIN_S = 4.0  # a crossfade without beats
WANDER_S = 0.025  # root mean square by which beats may lie beside their line
PEAK = 0.98  # of full scale that the mix may reach
TURN_DB = 12.0  # most that a track is made louder or softer
Rhythms = Mapping[str, Rhythm]  # by the path of the track


@dataclass(frozen=True, kw_only=True)
class Mix:
    """A rendered mix.

    Parameters
    ----------
    path
        Its file.
    sr
        Its sampling rate in Hz.
    seconds
        Its length.
    tracks
        One row per track, as played: track, path, start_s (where its first sample lies in the mix),
        from_s (which second of the track that is, without what is left out of it), fade_s (length
        of the fade into it), rate (how much faster than by itself it runs during the fade), glide_s
        (from there until it runs as by itself), end_s (where it has faded out), matched (whether
        beats lie on beats), beats (length of the fade in those of the outgoing track; 0 if not
        matched), gain_db, tempo (in both octaves), bar (its beats), cut_s (seconds of silence left
        out), note (why beats were not matched).
    quarantine
        Tracks left out: path, reason.
    cuts
        By the path of a track, what of its silence is left out; nothing of others.
    """

    path: Path
    sr: int
    seconds: float
    tracks: pd.DataFrame
    quarantine: pd.DataFrame
    cuts: Mapping[str, Cuts] = field(default_factory=dict)

    def position(self, track: str, t: np.ndarray) -> np.ndarray:
        """Find where moments of a track lie in the mix, audible or not.

        Parameters
        ----------
        track
            Path of the track.
        t
            Times in seconds of the track, (n,) or one number.

        Returns
        -------
        array (n,)
            Seconds of the mix.

        Raises
        ------
        ValueError
            If the mix does not hold the track.
        """
        rows = self.tracks[self.tracks["path"] == str(track)]
        if rows.empty:
            raise ValueError(f"{track} is not among the tracks of {self.path.name}")
        cuts = self.cuts.get(str(track))
        return mixed(rows.iloc[0], cuts.played(t) if cuts else t)


class _UnmatchedError(Exception):
    """Why two tracks cannot be matched beat on beat."""


def render(
    route: Route, rhythms: Rhythms, *, path: str | Path, sr: int = 44_100, beats: int = BEATS
) -> Mix:
    """Render a route as one file, each track faded into the next beat on beat.

    A fade begins at a downbeat of the outgoing track near its exit and at a downbeat of the
    incoming track near its entry. The incoming track runs at the other's tempo, or at twice or half
    of it, by resampling, and later glides to its own. Fades keep the power equal. Where tempi are
    more than `sequencing.REACH` apart, a beat is not steady, or a track is too short, a plain
    crossfade of `PLAIN_S` takes its place. Gains make tracks equally loud; one gain for all keeps
    peaks below `PEAK`. Silence is left out, see `silence.find_cuts`; bars of three are matched with
    bars of three only.

    Parameters
    ----------
    route
        Order, entries and exits, as `sequencing.order_tracks` finds them.
    rhythms
        Beats by the path of the track; tracks without are faded plainly.
    path
        The file to make, ``.flac`` or ``.wav``; stereo, written whole or not at all.
    sr
        Its sampling rate in Hz.
    beats
        Length of a fade in beats of the outgoing track: 4, 8, 16, 32 or 64; halved where a track
        has no room for it.

    Returns
    -------
    Mix
        What was done. Files that cannot be read are left out and listed in its quarantine.

    Raises
    ------
    ValueError
        If no track can be read, one comes twice, the mix would replace one of them or be too long
        for a wav file, or `beats` or the suffix is another.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    validate(path, beats)
    _validate_tracks(route.tracks, path)
    cuts, quarantine = _listen(route.tracks["path"])
    if not cuts:
        raise ValueError(f"none of {len(quarantine)} tracks can be read; {quarantine['reason'][0]}")
    rows = route.tracks[route.tracks["path"].isin(cuts.keys())].to_dict("records")
    tracks = _plan([_played(row, cuts, rhythms) for row in rows], sr, beats)
    audio.require_room(path, 2 * sr * tracks["end_s"].iloc[-1])  # before hours of decoding
    peak = max(float(np.abs(y).max()) for y in _sound(tracks, cuts, sr, "level"))
    tracks["gain_db"] -= max(0.0, 20 * np.log10(max(peak, 1e-9) / PEAK))
    audio.write_blocks(path, _sound(tracks, cuts, sr, "mix"), sr)
    seconds = round(tracks["end_s"].iloc[-1] * sr) / sr
    return Mix(path=path, sr=sr, seconds=seconds, tracks=tracks, quarantine=quarantine, cuts=cuts)


def validate(path: Path, beats: int) -> None:
    """Refuse, before anything is computed, what `render` cannot make.

    Raises
    ------
    ValueError
        If `beats` or the suffix is another.
    """
    if beats not in FADES:
        raise ValueError(f"a fade of {beats} beats does not fill bars; take 4, 8, 16, 32 or 64")
    if path.suffix.lower() not in (".flac", ".wav"):
        raise ValueError(f"{path}: cannot write a mix with this suffix; use .flac or .wav")


def _validate_tracks(tracks: pd.DataFrame, path: Path) -> None:
    """Refuse a route that plays a track twice, or a mix that would replace a track."""
    if tracks["path"].duplicated().any():
        twice = tracks["path"][tracks["path"].duplicated()].iloc[0]
        raise ValueError(f"{twice} comes twice in the route; list each track once")
    if path.resolve() in {Path(track).resolve() for track in tracks["path"]}:
        raise ValueError(f"{path} is one of the tracks; write the mix elsewhere")


def _listen(paths: Iterable[str]) -> tuple[dict[str, Cuts], pd.DataFrame]:
    """Decode every track once; return what to leave out of the good ones, and the others."""
    cuts, broken = {}, []
    for path in progress(paths, "check", "track", delay=2):
        try:
            cuts[path] = silence.find_cuts(path)
        except AudioError as error:
            broken.append((path, error.advice))
    return cuts, pd.DataFrame(broken, columns=["path", "reason"])


def _played(track: dict, cuts: Mapping[str, Cuts], rhythms: Rhythms) -> dict:
    """Return a track with all its times in played seconds, and with its rhythm."""
    cut, rhythm = cuts[track["path"]], rhythms.get(track["path"])
    end_s = float(cut.played(cut.seconds))
    row = track | {name: float(cut.played(track[name])) for name in ("entry_s", "exit_s")}
    row |= {"end_s": end_s, "cut_s": cut.seconds - end_s, "joints_s": cut.joints_s()}
    beats_s = None if rhythm is None else cut.played(rhythm.beats_s)
    return row | {"rhythm": rhythm and replace(rhythm, beats_s=beats_s)}


def _plan(tracks: list[dict], sr: int, beats: int) -> pd.DataFrame:
    """Place the tracks of a route in the mix, one after the other."""
    tracks[-1]["exit_s"] = tracks[-1]["end_s"]
    rows = [_row(tracks[0], {"start_s": 0.0, "from_s": 0.0, "fade_s": 0.0, "note": ""}, sr)]
    for outgoing, incoming in pairwise(tracks):
        free_s = float(source(rows[-1], alone_s(rows[-1])))
        fade = _fade(outgoing, incoming, free_s, beats)
        start_s = float(mixed(rows[-1], fade.pop("out_s")))
        rows.append(_row(incoming, fade | {"start_s": start_s}, sr))
        rows[-2]["end_s"] = rows[-1]["start_s"] + rows[-1]["fade_s"]
    rows[-1]["end_s"] = float(mixed(rows[-1], tracks[-1]["end_s"]))
    plan = pd.DataFrame(rows)
    loudness_db = pd.Series([track["loudness_db"] for track in tracks], dtype=float)
    gain_db = (loudness_db.median() - loudness_db).clip(-TURN_DB, TURN_DB).fillna(0.0)
    found = [track["rhythm"] for track in tracks]
    facts = {"tempo": [rhythm.said if rhythm else "" for rhythm in found]}
    facts |= {"bar": [rhythm.bar if rhythm else 0 for rhythm in found]}
    facts |= {"cut_s": [track["cut_s"] for track in tracks]}
    return plan.assign(matched=plan["beats"] > 0, gain_db=gain_db, **facts)


def _row(track: dict, fade: dict, sr: int) -> dict:
    """Return a row of a mix, its times in whole samples."""
    row = {"track": track["track"], "path": track["path"], "rate": 1.0, "glide_s": 0.0, "beats": 0}
    row |= fade
    row |= {name: round(row[name] * sr) / sr for name in ("start_s", "fade_s", "glide_s")}
    # Whole samples play after the glide too, so that nothing needs to be interpolated there.
    place = sr * float(source(row, row["start_s"] + row["fade_s"] + row["glide_s"]))
    return row | {"from_s": row["from_s"] + (round(place) - place) / sr, "end_s": np.nan}


def _fade(outgoing: dict, incoming: dict, free_s: float, beats: int) -> dict:
    """Choose where one track goes over into the next, not before `free_s` of the first."""
    try:
        return _matched(outgoing, incoming, free_s, beats)
    except _UnmatchedError as reason:
        end_s = outgoing["end_s"]
        latest_s = end_s - min(PLAIN_S, (end_s - free_s) / 2)
        out_s = max(free_s, min(outgoing["exit_s"], latest_s))
        room_s = min(end_s - out_s, (incoming["exit_s"] - incoming["entry_s"]) / 2)
        fade_s = max(0.0, min(PLAIN_S, room_s))
        note = f"plain crossfade: {reason}"
        return {"out_s": out_s, "from_s": incoming["entry_s"], "fade_s": fade_s, "note": note}


def _matched(outgoing: dict, incoming: dict, free_s: float, beats: int) -> dict:
    """Choose where and how fast the next track comes in, so that its beats lie on the first's."""
    a, b = _steady(outgoing), _steady(incoming)
    if a.bar % 3 != b.bar % 3:
        raise _UnmatchedError(f"bars of {a.bar} and of {b.bar} beats")
    fold = 2.0 ** np.clip(np.round(np.log2(b.tempo / a.tempo)), -1, 1)
    until_s = incoming["exit_s"] - b.bar * 60 / b.tempo
    for n in (four * a.bar // 4 for four in FADES[FADES.index(beats) :]):
        i = _downbeat(outgoing, n, outgoing["exit_s"], free_s, outgoing["end_s"])
        j = _downbeat(incoming, round(n * fold), incoming["entry_s"], 0.0, until_s)
        if i is not None and j is not None and n * fold == round(n * fold):
            break
    else:
        raise _UnmatchedError("no room for a bar of both")
    beat_a, out_s = _line(outgoing, a.beats_s[i : i + n + 1])
    beat_b, from_s = _line(incoming, b.beats_s[j : j + round(n * fold) + 1])
    rate, fade_s = float(fold * beat_b / beat_a), n * beat_a
    if abs(np.log2(rate)) > np.log2(1 + REACH):
        tempi = f"tempi of {60 / beat_a:.1f} and {60 / beat_b:.1f}"
        raise _UnmatchedError(f"{tempi} are more than {REACH:.0%} apart")
    room_s = incoming["exit_s"] - from_s - rate * fade_s
    glide_s = float(np.clip(room_s, a.bar * beat_a, GLIDE * a.bar * beat_a))
    fade = {"out_s": out_s, "from_s": from_s, "fade_s": fade_s, "rate": rate, "beats": n}
    return fade | {"glide_s": glide_s, "note": ""}


def _steady(track: dict) -> Rhythm:
    """Return the rhythm of a track that has one."""
    rhythm = track["rhythm"]
    if rhythm is None or not rhythm.stability >= STABLE or not rhythm.tempo > 0:
        raise _UnmatchedError(f"{track['track']} has no steady beat")
    return rhythm


def _downbeat(track: dict, n: int, near_s: float, low_s: float, high_s: float) -> int | None:
    """Find the downbeat nearest to a moment from which n beats lie between two others.

    Nothing may be left out of the track between those beats.
    """
    rhythm, joints_s = track["rhythm"], track["joints_s"]
    at = np.asarray(rhythm.beats_s)
    i = np.arange(rhythm.downbeat, len(at) - n, rhythm.bar)
    whole = np.searchsorted(joints_s, at[i]) == np.searchsorted(joints_s, at[i + n], "right")
    i = i[(at[i] >= low_s) & (at[i + n] <= high_s) & whole & (at[i] < at[i + n])]
    return int(i[np.abs(at[i] - near_s).argmin()]) if len(i) else None


def _line(track: dict, beats_s: np.ndarray) -> tuple[float, float]:
    """Fit a line to beats; return the seconds of a beat, and where the first one lies."""
    k = np.arange(len(beats_s))
    beat_s, first_s = np.polyfit(k, beats_s, 1)
    wander_s = float(np.sqrt(np.mean((beats_s - first_s - beat_s * k) ** 2)))
    if wander_s > WANDER_S:
        raise _UnmatchedError(f"the beats of {track['track']} wander by {1000 * wander_s:.0f} ms")
    return float(beat_s), float(first_s)


def _sound(
    tracks: pd.DataFrame, cuts: Mapping[str, Cuts], sr: int, label: str
) -> Iterator[np.ndarray]:
    """Play a plan; yield blocks (2, N)."""
    rows = tracks.to_dict("records")
    playing = Deck(rows[0], sr, cuts[rows[0]["path"]])
    for row in progress([*rows[1:], None], label, "track", delay=2):
        incoming = Deck(row, sr, cuts[row["path"]]) if row else None
        end = incoming.at if incoming else playing.end
        while playing.at < end:
            yield playing.take(min(BLOCK, end - playing.at))
        if incoming and (n := round(row["fade_s"] * sr)):
            w = np.pi / 2 * (np.arange(n, dtype=np.float32) + 0.5) / n
            yield playing.take(n) * np.cos(w) + incoming.take(n) * np.sin(w)
        playing = incoming


def beat_alignment(mix: Mix, beats: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Measure how far the beats of two tracks lie apart where they are matched.

    Parameters
    ----------
    mix
        A rendered mix.
    beats
        Annotated times of the beats in seconds of the track, by its path.

    Returns
    -------
    DataFrame
        One row per matched crossfade between tracks with annotated beats: after, track, beats (how
        many were compared), median_ms and worst_ms, of the distance from each beat of the slower
        track to the nearest of the other; infinite where one of them has no beat there.
    """
    rows = []
    for a, b in pairwise(mix.tracks.to_dict("records")):
        if b["matched"] and a["path"] in beats and b["path"] in beats:
            in_mix = [mix.position(row["path"], beats[row["path"]]) for row in (a, b)]
            ms = 1000 * _distances(*in_mix, b["start_s"], b["start_s"] + b["fade_s"])
            rows.append((a["track"], b["track"], len(ms), np.median(ms), ms.max()))
    return pd.DataFrame(rows, columns=["after", "track", "beats", "median_ms", "worst_ms"])


def _distances(a: np.ndarray, b: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """Return the distances of the sparser beats within a span from the nearest of the others."""
    inside = [t[(t >= start_s) & (t < end_s)] for t in (a, b)]
    few, many = (inside[1], a) if len(inside[1]) <= 1.4 * len(inside[0]) else (inside[0], b)
    if not len(few) or not len(many):
        return np.array([np.inf])
    return np.abs(few[:, None] - many).min(axis=1)
