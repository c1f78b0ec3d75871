"""The four styles of the dance corpus, as one table; patterns are written as in `styles`."""

from musiclatent.data.synthetic.styles import POP, Style

# What all dance styles share, so that versions of one tune may differ in style.
CLUB = {
    "tempo": (120, 130),
    "progressions": POP,
    "lead": ("x..x..x.x...x...", "x...x.x...x.x...", "x.x..x..x.......", "x..x..x..x..x.x."),
    "minor": 0.7,
    "loose_s": 0.0,
    "brightness": (0.5, 1.0),
    "gate": 0.8,
}
FOUR = ("X...X...X...X...",)
DANCES = {
    "house": Style(
        comp=("..x...x...x...x.", "x..x..x...x..x..", "..x..x....x..x.."),
        bass=("..0...0...0...0.", "0..0..7...0.4...", "0.....0.0..7...."),
        leads=("organ", "electric piano", "flute"),
        comps=("organ", "electric piano", "piano"),
        basses=("fm bass", "bass synth"),
        kits=("drum machine",),
        kick=FOUR,
        snare=("....x.......x...",),
        hat=("x.o.x.o.x.o.x.o.",),
        open=("..x...x...x...x.",),
        reverb_s=1.0,
        **CLUB,
    ),
    "techno": Style(
        comp=("..x.....x..x....", "x..x..x.........", "......x.......x."),
        bass=("0.00.00.0.00.07.", "00.70.0.00.70.6."),
        leads=("synth lead", "bells"),
        comps=("stab",),
        basses=("acid bass",),
        kits=("drum machine",),
        kick=FOUR,
        snare=("....o.......x...",),
        hat=("xooxooxoxooxooxo",),
        open=("..x...x...x...x.",),
        reverb_s=1.4,
        **CLUB,
    ),
    "trance": Style(
        comp=("0120120101201201", "0123012301230123", "x..............."),
        bass=("..00..00..00..00", "..0...0...0...0."),
        leads=("synth lead", "pulse"),
        comps=("pad", "strings", "stab"),
        basses=("bass synth",),
        kits=("drum machine",),
        kick=FOUR,
        snare=("....x.......x...",),
        hat=("x.x.x.x.x.x.x.x.",),
        open=("..x...x...x...x.",),
        reverb_s=2.2,
        **CLUB,
    ),
    "breakbeat": Style(
        comp=("x.......x.......", "x..x......x.....", "..x..x.x..x..x.."),
        bass=("0.....0...4.....", "0..0....0..7...."),
        leads=("bells", "flute", "square"),
        comps=("strings", "electric piano"),
        basses=("triangle wave", "fm bass"),
        kits=("acoustic drums",),
        kick=("X.x.......X.....", "X.x.......xX...."),
        snare=("....X..o.o..X..o", "....X..x....X..."),
        hat=("x.x.x.x.x.x.x.x.",),
        open=("..............x.",),
        reverb_s=0.8,
        **CLUB,
    ),
}
