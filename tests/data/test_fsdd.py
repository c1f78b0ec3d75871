import pandas as pd

from musiclatent.data import fsdd


def test_speakers_of_other_corpora_are_held_out_by_the_alphabet():
    items = pd.DataFrame({"speaker": list("cabdab")})
    assert fsdd.by_speaker(items).tolist() == "validation train train test train train".split()
    assert fsdd.by_speaker(items[:1]).tolist() == ["train"]
