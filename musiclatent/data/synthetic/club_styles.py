"""The four styles of the dance corpus, as one table; patterns are written as in `styles`.

Versions of one tune differ in style, so all styles share the tempo, the chords and the rhythm of
the melody; what else they share is written once, in house.
"""

from dataclasses import replace

from musiclatent.data.synthetic import styles

HOUSE = styles.Style(
    tempo=(120, 130),
    progressions=styles.POP,
    lead=("x..x..x.x...x...", "x...x.x...x.x...", "x.x..x..x.......", "x..x..x..x..x.x."),
    comp=("..x...x...x...x.", "x..x..x...x..x..", "..x..x....x..x.."),
    bass=("..0...0...0...0.", "0..0..7...0.4...", "0.....0.0..7...."),
    leads=("organ", "electric piano", "flute"),
    comps=("organ", "electric piano", "piano"),
    basses=("fm bass", "bass synth"),
    kits=("drum machine",),
    kick=("X...X...X...X...",),
    snare=("....x.......x...",),
    hat=("x.o.x.o.x.o.x.o.",),
    open=("..x...x...x...x.",),
    minor=0.7,
    brightness=(0.5, 1.0),
    reverb_s=1.0,
    gate=0.8,
    loose_s=0.0,
)
DANCES = {
    "house": HOUSE,
    "techno": replace(
        HOUSE,
        comp=("..x.....x..x....", "x..x..x.........", "......x.......x."),
        bass=("0.00.00.0.00.07.", "00.70.0.00.70.6."),
        leads=("synth lead", "bells"),
        comps=("stab",),
        basses=("acid bass",),
        snare=("....o.......x...",),
        hat=("xooxooxoxooxooxo",),
        reverb_s=1.4,
    ),
    "trance": replace(
        HOUSE,
        comp=("0120120101201201", "0123012301230123", "x..............."),
        bass=("..00..00..00..00", "..0...0...0...0."),
        leads=("synth lead", "pulse"),
        comps=("pad", "strings", "stab"),
        basses=("bass synth",),
        hat=("x.x.x.x.x.x.x.x.",),
        reverb_s=2.2,
    ),
    "breakbeat": replace(
        HOUSE,
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
    ),
}
