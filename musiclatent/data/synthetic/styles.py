"""The ten styles of the music corpus, as one table.

A pattern is one bar in sixteenths (twelve of them in 3/4): `.` rests; `o`, `x`, `X` are a soft, a
plain and a loud hit; a digit is a scale step above the chord's root in a bass line and a tone of
the chord in an accompaniment. Chords are scale degrees counted from 0.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Style:
    """What makes clips of one style alike; a clip draws one of each list.

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


POP = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 3))
TWELVE_BARS = (0, 0, 0, 0, 3, 3, 0, 0, 4, 3, 0, 4)
STYLES = {
    "ambient": Style(
        tempo=(54, 74),
        progressions=((0, 3), (0, 5, 3, 3), (0, 2, 5, 4)),
        lead=("x.......x.......", "....x.......x...", "x..........x...."),
        comp=("x...............",),
        bass=("0...............", "0.......4......."),
        leads=("bells", "flute", "harp"),
        comps=("pad", "strings"),
        basses=("bass synth", "triangle wave"),
        kits=("shaker",),
        hat=("o...o...o...o...", "....o.......o..."),
        brightness=(0.1, 0.8),
        reverb_s=3.0,
        wet=0.6,
        gate=1.0,
        drums=0.3,
    ),
    "ballad": Style(
        tempo=(62, 84),
        progressions=POP,
        lead=("x...x.x.x.......", "x.....x.x.x.x...", "x.......x...x..."),
        comp=("0.1.2.1.3.1.2.1.", "0.1.2.3.2.1.2.1.", "x...x...x...x..."),
        bass=("0.......4.......", "0.....0.4......."),
        leads=("violin", "flute", "guitar"),
        comps=("piano", "electric piano", "guitar"),
        basses=("upright bass", "bass synth"),
        kits=("brushes", "acoustic drums"),
        kick=("x.......x.......", "x.....x.x......."),
        snare=("....x.......x...",),
        hat=("o.o.o.o.o.o.o.o.",),
        brightness=(0.15, 0.9),
        reverb_s=1.8,
        wet=0.35,
        drums=0.4,
    ),
    "blues": Style(
        tempo=(76, 116),
        progressions=(TWELVE_BARS,),
        lead=("x.x.x...x.x.....", "..x.x.x.x.......", "x...x.x.....x.x."),
        comp=("x..x....x..x....", "....x.......x...", "x.o.x.o.x.o.x.o."),
        bass=("0...2...4...5...", "0...4...7...4...", "0...1...2...4..."),
        leads=("harmonica", "guitar"),
        comps=("guitar", "piano", "organ"),
        basses=("upright bass",),
        kits=("brushes", "acoustic drums"),
        kick=("x.......x.......", "o...o...o...o..."),
        snare=("....x.......x...",),
        hat=("x...x.o.x...x.o.",),
        minor=0.2,
        swing=0.16,
        gate=0.6,
    ),
    "chiptune": Style(
        tempo=(136, 178),
        progressions=(*POP, (5, 3, 0, 4), (0, 6, 5, 6)),
        lead=("x.x.xx..x.x.x...", "x..x..x.x.x.xxx.", "xxx.x...x.x.x.x."),
        comp=("0120120101201201", "0123012301230123", "0.2.1.2.0.2.1.2."),
        bass=("0.0.0.0.0.0.0.0.", "0.7.0.7.0.7.0.7.", "0..0..0.4..4..4."),
        leads=("pulse", "square"),
        comps=("pulse", "square"),
        basses=("triangle wave",),
        kits=("chip drums",),
        kick=("x...x...x...x...", "x.....x.x......."),
        snare=("....X.......X...", "....X.......X.x."),
        hat=("x.x.x.x.x.x.x.x.", "..x...x...x...x."),
        brightness=(0.4, 1.0),
        reverb_s=0.15,
        wet=0.05,
        gate=0.7,
        loose_s=0.0,
    ),
    "disco": Style(
        tempo=(112, 128),
        progressions=((0, 5, 1, 4), (5, 1, 4, 0), (0, 2, 3, 4)),
        lead=("x.....x...x.x...", "x...x.x.x.......", "..x.x.x...x.x..."),
        comp=("..xx..x...xx..x.", "..x...x...x...x.", "x..x..x.x..x..x."),
        bass=("0.7.0.7.0.7.0.7.", "0.7.0.7.4.7.0.7."),
        leads=("strings", "brass"),
        comps=("guitar", "electric piano", "clavinet"),
        basses=("fm bass", "bass synth"),
        kits=("acoustic drums",),
        kick=("X...X...X...X...",),
        snare=("....x.......x...",),
        hat=("x.o.x.o.x.o.x.o.", "xoooxoooxoooxooo"),
        open=("..x...x...x...x.",),
        brightness=(0.4, 1.0),
        reverb_s=1.0,
        gate=0.5,
        drums=1.0,
    ),
    "funk": Style(
        tempo=(90, 112),
        progressions=((0, 0, 3, 0), (0, 3), (0, 6, 3, 0)),
        lead=("x..x..x.......x.", "......x..x.x....", "x.xx......x....."),
        comp=("..x..x.x..x..x..", "x..x....x.xx....", ".x.x..x..x.x..x."),
        bass=("0..0..7.0.4.6.7.", "0.0...6.7..04...", "0..7..0..0.64..."),
        leads=("brass", "synth lead"),
        comps=("clavinet", "guitar", "organ"),
        basses=("fm bass",),
        kits=("acoustic drums",),
        kick=("X..x..x...x.....", "X.x....x..x....."),
        snare=("....X..o.o..X..o", "....X.......X..."),
        hat=("xoxoxoxoxoxoxoxo", "x.xox.xox.xox.xo"),
        minor=0.7,
        brightness=(0.35, 1.0),
        reverb_s=0.4,
        wet=0.1,
        gate=0.4,
        drums=1.0,
    ),
    "march": Style(
        tempo=(108, 126),
        progressions=((0, 0, 4, 0), (0, 3, 4, 0), (0, 4, 4, 0, 3, 0, 4, 0)),
        lead=("x...x.xxx...x...", "x..xx...x..xx...", "x...x...x.x.x..."),
        comp=("..x...x...x...x.", "....x.......x..."),
        bass=("0.......4.......", "0...4...0...4..."),
        leads=("piccolo", "brass"),
        comps=("brass",),
        basses=("tuba",),
        kits=("field drums",),
        kick=("X.......X.......", "X...x...X...x..."),
        snare=("x.oox.oox.ooxxxx", "x.x.xoo.x.x.xoo.", "xoooxoooxoxoxxoo"),
        hat=("x.......x.......",),
        minor=0.05,
        brightness=(0.3, 0.9),
        reverb_s=1.4,
        wet=0.3,
        gate=0.5,
    ),
    "tango": Style(
        tempo=(112, 132),
        progressions=((0, 0, 4, 4, 4, 4, 0, 0), (0, 3, 4, 0), (0, 5, 3, 4)),
        lead=("x.....x.x.x.x...", "x...x.xxx.......", "x..x..x.x...x..."),
        comp=("X...x...x...x...", "X...x...X...x.x.", "X..x....X...x..."),
        bass=("0...0...4...4...", "0..0....4...4...", "0.......4......."),
        leads=("violin", "accordion"),
        comps=("accordion", "piano"),
        basses=("upright bass",),
        minor=0.95,
        brightness=(0.25, 0.9),
        reverb_s=1.0,
        wet=0.25,
        gate=0.4,
    ),
    "techno": Style(
        tempo=(126, 144),
        progressions=((0,), (0, 0, 5, 5), (0, 0, 0, 6)),
        lead=("x..x..x...x.....", "..x..x..x....x..", "x.....x......x.."),
        comp=("..x.....x..x....", "x..x..x.........", "......x.......x."),
        bass=("0.00.00.0.00.07.", "..0...0...0...0.", "00.70.0.00.70.6."),
        leads=("synth lead", "bells"),
        comps=("stab",),
        basses=("acid bass", "bass synth"),
        kits=("drum machine",),
        kick=("X...X...X...X...",),
        snare=("....x.......x...",),
        hat=("xooxooxoxooxooxo", "x.x.x.x.x.x.x.x."),
        open=("..x...x...x...x.",),
        minor=0.95,
        brightness=(0.3, 1.0),
        reverb_s=1.2,
        gate=0.5,
        drums=1.2,
        loose_s=0.0,
    ),
    "waltz": Style(
        tempo=(138, 186),
        progressions=((0, 0, 4, 4, 4, 4, 0, 0), (0, 5, 1, 4), (0, 3, 4, 0)),
        lead=("x.......x...", "x...x...x...", "x...........", "x.....x.x..."),
        comp=("....x...x...",),
        bass=("0...........",),
        leads=("violin", "flute", "strings"),
        comps=("harp", "piano", "strings"),
        basses=("upright bass", "tuba"),
        beats=3,
        minor=0.3,
        brightness=(0.2, 0.95),
        reverb_s=1.8,
        wet=0.35,
        gate=0.7,
    ),
}
