"""The network of chords, untrained: shapes, and probabilities that sum to one."""

import torch

from musiclatent.models.published.chords import SIZES, ChordNet


def test_each_part_of_a_chord_has_probabilities():
    torch.manual_seed(0)
    with torch.no_grad():
        y = ChordNet()(torch.rand(2, 20, 252))
    assert y.shape == (2, 20, 100)
    for part in y.split(SIZES, dim=-1):
        torch.testing.assert_close(part.sum(-1), torch.ones(2, 20))


def test_its_weights_are_named_as_the_published_ones():
    names = set(ChordNet().state_dict())
    assert "audio_feature_block.conv1c.weight" in names and "lstm1.weight_hh_l0_reverse" in names
    assert "audio_feature_block.conv3c.weight" not in names and len(names) == 30
