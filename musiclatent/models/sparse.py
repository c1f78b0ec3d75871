"""Past the paper, sparse: the few coefficients of several lapped transforms that matter.

Short frames hold a click in few coefficients, long ones a tone. This autoencoder has filters of
several lengths side by side, more than a waveform needs, and looks for the k of them that rebuild
it best.
The latent holds the k values and their positions, and both are counted: a position is a number
too.

What is learned is the shape of the filters, the same on the way in and out. The search for the
positions has no gradient, and needs none: once the values fit best on the positions chosen, the
gradient of the error is that of the synthesis alone (the step of dictionary learning that moves
the dictionary).
"""

import torch
from torch import Tensor, nn

from musiclatent.models import base, mdct

WINDOW = 110_250  # samples that `numbers` is meant for: five seconds at 22,050 Hz
# The search: chosen on validation windows with the untrained filters.
MOMENTUM = 0.8
FIRST = 0.1  # share of k that the first steps keep
HOLD = 0.2  # share of the steps, at the end, that keep k
SHRINK = 0.5  # by how much of the smallest that is kept the first steps shorten all that they keep


class SparseAutoencoder(base.Autoencoder):
    """k-sparse autoencoder: learned lapped filters of several lengths, top-k over time and pitch.

    Parameters
    ----------
    hops
        Hops of the lapped transforms, even; each divides the longest, which is the stride.
    numbers
        Latent numbers of five seconds (110,250 samples): half of them values, half positions. At
        least two for each stride.
    iterations
        Steps of the search for the positions.
    refits
        Steps of conjugate gradients that fit the values to the chosen positions.
    crop
        Strides of the part of each window that a training step takes; more than 1,024 samples,
        which the STFT distance needs.
    learning_rate, total_steps
        Training, see `base.LitModule`.

    Raises
    ------
    ValueError
        If the hops do not fit each other, there are too few or too many numbers, or `crop` is too
        short.

    Notes
    -----
    Blumensath and Davies (2009), Iterative hard thresholding for compressed sensing, with momentum
    and a count that grows to k; Makhzani and Frey (2014), k-sparse autoencoders.
    """

    code = "sparse"
    own_path = True

    def __init__(
        self,
        hops: list[int] = [64, 256, 1024, 2048, 4096],  # noqa: B006, plain: for the checkpoint
        numbers: int = 13_824,
        iterations: int = 60,
        refits: int = 3,
        crop: int = 5,
        learning_rate: float = 1e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        if not hops or any(hop < 2 or hop % 2 or max(hops) % hop for hop in hops):
            raise ValueError(f"hops are {hops}; give even numbers that divide the longest of them")
        self.save_hyperparameters()
        self.hops, self.stride, self.edge = hops, max(hops), max(hops)
        self.rate = numbers / 2 / -(-WINDOW // self.stride)  # values kept in a stride
        if not 1 <= self.rate <= self.stride:
            raise ValueError(
                f"numbers is {numbers}; give two or more, and at most {2 * self.stride}, for each "
                f"{self.stride} of {WINDOW} samples"
            )
        if crop * self.stride <= 1024:
            raise ValueError(f"crop is {crop}; give more than 1,024 samples in {self.stride}s")
        self.iterations, self.refits, self.crop = iterations, refits, crop
        self.frames = nn.ModuleList(mdct.Lapped(hop, learned=True) for hop in hops)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Find the coefficients that rebuild waveforms best.

        Parameters
        ----------
        x
            Waveforms (B, 1, N) of any length, padded to whole strides.

        Returns
        -------
        Tensor
            Values and positions (B, 2, k), in the order of the positions; k is `numbers` / 2 for
            five seconds. Positions count through the transforms, their frames and their bins.
        """
        x = self.pad(x)[:, 0]
        k = round(self.rate * (x.shape[-1] // self.stride))
        return _code(self._refit(x, self._search(x, k)).flatten(1), k)

    def decode(self, z: Tensor, samples: int | None = None) -> Tensor:
        """Rebuild waveforms.

        Parameters
        ----------
        z
            Latents (B, 2, k). Positions are rounded, and moved to the nearest there is; values at
            the same position add up.
        samples
            How many samples are wanted; all of them, which are whole strides, where None.

        Returns
        -------
        Tensor
            Waveforms (B, 1, N).

        Raises
        ------
        ValueError
            If the latents are not values and positions.
        """
        c = self._coefficients(z).unflatten(1, (len(self.hops), -1))
        return self._synthesise(c)[:, None, :samples]

    def between(self, z_a: Tensor, z_b: Tensor, position: float) -> Tensor:
        """Mix two sounds, and keep as many of the coefficients of both as either has.

        Parameters
        ----------
        z_a, z_b
            Latents (B, 2, k).
        position
            0 is A and 1 is B.

        Returns
        -------
        Tensor
            Latents (B, 2, k), the largest of the mixture; values that both have are mixed.

        Raises
        ------
        ValueError
            As `decode`.
        """
        mixture = torch.lerp(self._coefficients(z_a), self._coefficients(z_b), position)
        return _code(mixture, z_a.shape[2])

    def _coefficients(self, z: Tensor) -> Tensor:
        """Return the coefficients (B, L N) of latents."""
        if z.ndim != 3 or z.shape[1] != 2 or round(z.shape[2] / self.rate) < 1:
            least = round(self.rate)
            raise ValueError(f"latents have shape {tuple(z.shape)}; give (B, 2, {least} or more)")
        n = round(z.shape[2] / self.rate) * self.stride
        c = z.new_zeros(len(z), len(self.hops) * n)
        places = z[:, 1].detach().nan_to_num().round().clamp(0, c.shape[1] - 1).long()
        return c.scatter_add(1, places, z[:, 0])

    def _analyse(self, x: Tensor) -> Tensor:
        """Return the inner products (B, L, N) of waveforms (B, N) with all filters."""
        return torch.stack([frame(x).flatten(1) for frame in self.frames], 1)

    def _synthesise(self, c: Tensor) -> Tensor:
        """Return the waveforms (B, N) of coefficients (B, L, N)."""
        parts = zip(self.frames, c.unbind(1), strict=True)
        return sum(frame.inverse(one.unflatten(1, (-1, frame.hop))) for frame, one in parts)

    def _search(self, x: Tensor, k: int) -> Tensor:
        """Search coefficients (B, L, N), k of them not zero, of waveforms (B, N)."""
        c = before = x.new_zeros(len(x), len(self.hops), x.shape[-1])
        for i in range(1, self.iterations + 1):
            done = min(1.0, i / (self.iterations * (1 - HOLD)))
            z = torch.lerp(before, c, 1 + MOMENTUM)
            z.add_(self._analyse(x - self._synthesise(z)), alpha=1 / len(self.hops))
            size, count = z.abs(), max(1, int(k * FIRST ** (1 - done)))
            least = size.flatten(1).topk(count, sorted=False).values.amin(1)[:, None, None]
            z.masked_fill_(size < least, 0.0)
            if done < 1:
                shorter = SHRINK * (1 - done) * least
                z -= z.clamp(-shorter, shorter)
            before, c = c, z
        return c

    def _refit(self, x: Tensor, c: Tensor) -> Tensor:
        """Fit least squares on the positions where `c` is not zero, by conjugate gradients."""
        support = (c != 0).to(c.dtype)
        residual = x - self._synthesise(c)
        direction = support * self._analyse(residual)
        size = direction.square().sum((1, 2), keepdim=True)
        for _ in range(self.refits):
            image = self._synthesise(direction)
            length = size / image.square().sum(1)[:, None, None].clamp_min(1e-12)
            c = c + length * direction
            residual = residual - length[:, 0] * image
            gradient = support * self._analyse(residual)
            before, size = size, gradient.square().sum((1, 2), keepdim=True)
            direction = gradient + size / before.clamp_min(1e-20) * direction
        return c

    def _step(self, batch: tuple[Tensor, ...], stage: str, index: int) -> Tensor:
        """Return the loss of all waveform autoencoders; training crops windows, as it is slow."""
        x = batch[0]
        if stage == "train":
            x = mdct.crops(x, self.crop * self.stride, self.step_generator(index))
        return super()._step((x,), stage, index)


def _code(c: Tensor, k: int) -> Tensor:
    """Return values and rising positions (B, 2, k) of the k largest coefficients of (B, L N)."""
    places = c.abs().topk(k, sorted=False).indices.sort().values
    return torch.stack([c.gather(1, places), places.to(c.dtype)], 1)  # exact below 2 ** 24
