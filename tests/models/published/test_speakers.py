"""The network of voices, untrained: shapes and length."""

import torch

from musiclatent.models.published.speakers import VoiceNetwork


def test_embeddings_have_length_one():
    torch.manual_seed(0)
    with torch.no_grad():
        z = VoiceNetwork()(torch.rand(3, 160, 40))
    assert z.shape == (3, 256) and (z >= 0).all()
    torch.testing.assert_close(z.norm(dim=1), torch.ones(3))
