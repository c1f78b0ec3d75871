"""What makes music of one style alike: the styles of the music corpus and of the dance corpus."""

from dataclasses import dataclass

from musiclatent.data.synthetic import tables

PATTERNS = ("lead", "comp", "bass", "kick", "snare", "hat", "open")


@dataclass(frozen=True, kw_only=True)
class Style:
    """One row of ``styles.toml``, which says how patterns are written; a clip draws one of each.

    Parameters
    ----------
    tempo
        Lowest and highest tempo in beats per minute.
    progressions
        Chord sequences, one chord a bar.
    lead, comp, bass
        Patterns of melody rhythm, accompaniment and bass line.
    kick, snare, hat, open
        Patterns of the drums; an empty list leaves that drum out.
    leads, comps, basses, kits
        Names of instruments to choose from.
    beats
        Beats in a bar.
    minor
        Share of clips in a minor key.
    swing
        How far the second eighth of a beat comes late, in beats.
    brightness
        Lowest and highest filter setting, in [0, 1].
    reverb_s, wet
        Reverberation time in seconds and its level.
    gate
        Share of the time to the next hit that an accompaniment note is held.
    drums
        Level of the drums against the other instruments.
    loose_s
        Standard deviation of the players' timing in seconds.
    """

    tempo: tuple[float, float]
    progressions: tuple[tuple[int, ...], ...]
    lead: tuple[str, ...]
    comp: tuple[str, ...]
    bass: tuple[str, ...]
    leads: tuple[str, ...]
    comps: tuple[str, ...]
    basses: tuple[str, ...]
    kits: tuple[str, ...] = ()
    kick: tuple[str, ...] = ()
    snare: tuple[str, ...] = ()
    hat: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    beats: int = 4
    minor: float = 0.4
    swing: float = 0.0
    brightness: tuple[float, float] = (0.3, 0.95)
    reverb_s: float = 0.8
    wet: float = 0.2
    gate: float = 0.9
    drums: float = 0.8
    loose_s: float = 0.005

    def __post_init__(self):
        for name in PATTERNS:
            lengths = {len(pattern) for pattern in getattr(self, name)}
            if lengths - {4 * self.beats}:
                raise ValueError(f"a pattern of {name} is not {4 * self.beats} steps long")


STYLES = {name: Style(**row) for name, row in tables.read("styles").items()}
_DANCES = tables.read("dances")
DANCES = {name: Style(**_DANCES["house"] | row) for name, row in _DANCES.items()}
