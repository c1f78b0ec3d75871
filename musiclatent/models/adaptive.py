"""Past the paper, dense: an adaptive lapped transform with deep networks on both sides.

The best fixed choice of values in a frame is the linear transform, and A1 reaches it. More is
gained by choosing anew, for every 1.7 s, which bands of frequencies the values are spent on, and
when. A part of the latent, the envelope, says how loud each band is in every four frames. The
encoder and the decoder both read from it which bands are the loudest, and only their coefficients
fill the rest of the latent: it holds no positions. So phase is kept where most of the sound is.
Elsewhere the decoder puts a learned noise, the carrier, at the loudness that the envelope gives;
two residual networks correct the envelope on the way in and the noise on the way out. The noise is
for listening: it has nothing of the sound but its loudness, and only adds to the error.

Five seconds at 22,050 Hz give a latent of 128 channels by 108 frames: 13,824 values, of which 28
channels are envelope.
"""

import torch
from torch import Tensor, nn

from musiclatent.models import base, mdct

HOP = 1024
SEGMENT = 4  # frames that share an envelope
# Squared error of validation windows by the true envelope and no network: 0.00117 with 14 of 48
# bands of 8 bins in each segment, 0.00110 with 25 of 96 bands of 4, 0.00097 ranked over 9 segments,
# 0.00096 over the whole window, whose latent would no longer run along the sound.
BLOCK = 9  # segments among which the loudest bands are chosen
WIDE = 4  # bins of each of the bands that may be chosen
CANDIDATES = 96
KEPT = 25  # bands per segment, on average, whose coefficients the latent holds
EDGES = [
    *range(0, WIDE * CANDIDATES, WIDE),  # up to 4.1 kHz
    *(384, 416, 448, 484, 524, 564, 608, 652, 700, 748, 800, 852, 904, 950, 984, 1004, HOP),
]
BANDS = len(EDGES) - 1
ENVELOPE = BANDS // SEGMENT  # channels
CHANNELS = ENVELOPE + KEPT * WIDE
NODES = 256  # frequencies at which the decoder sets how loud its noise is
FINE = 128  # frequencies at which the encoder measures levels
LOUDEST = 3.0  # natural logarithm of the most that the noise may exceed its envelope
UNIT = 0.0024  # mean squared error of waveform-64 on its validation windows
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # those of the STFT distance


class Snake(nn.Module):
    """The activation ``x + sin(a x) ** 2 / a``, which can hold a period; `a` > 0 is learned.

    Parameters
    ----------
    channels
        C, each with an `a` of its own.

    Notes
    -----
    Ziyin, Hartwig and Ueda (2020), Neural networks fail to learn periodic functions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_a = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Activate `x` (B, C, T)."""
        a = self.log_a.exp()
        return x + (a * x).sin().square() / a


class Residual(nn.Module):
    """Two convolutions, snake before each, added to their input; nothing at the start.

    Parameters
    ----------
    channels
        C, in and out.
    dilation
        Frames between the three that the first convolution sees.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        wide = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        last = base.zeroed(nn.Conv1d(channels, channels, 1))
        self.net = nn.Sequential(Snake(channels), wide, Snake(channels), last)

    def forward(self, x: Tensor) -> Tensor:
        """Add to `x` (B, C, T)."""
        return x + self.net(x)


class DeepAutoencoder(base.Autoencoder):
    """Adaptive lapped transform with deep residual networks in its encoder and decoder.

    Parameters
    ----------
    width
        Channels of the residual networks.
    depth
        Residual blocks of the decoder.
    tile
        Frames of the carrier, after which it repeats.
    weight
        Weight of the multi-resolution STFT distance beside the MSE, which is counted in units of
        A1's.
    crop
        Strides (4,096 samples) of the part of each window that a training step takes.
    learning_rate, total_steps
        Training, see `base.LitModule`.

    Raises
    ------
    ValueError
        If a size is not positive.
    """

    stride = edge = HOP * SEGMENT
    version = 2  # bands of four bins, ranked over `BLOCK` segments
    given = ENVELOPE
    own_path = True
    losses = ("mse", "mrstft")
    noise = True  # set to False, what is left out stays silent
    networks = True  # set to False, nothing learned is used: envelope as measured, `fill` for noise

    def __init__(
        self,
        width: int = 192,
        depth: int = 6,
        tile: int = 36,
        weight: float = 1.3,
        crop: int = 12,
        learning_rate: float = 1e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        for name, size in {"width": width, "depth": depth, "tile": tile, "crop": crop}.items():
            if size < 1:
                raise ValueError(f"{name} is {size}; give 1 or more")
        self.save_hyperparameters()
        self.weight, self.crop = weight, crop
        self.lapped = mdct.Lapped(HOP)
        self.register_buffer("spread", band_matrix())  # bands x bins
        self.listen = nn.Sequential(  # levels of frames -> corrections of the envelope
            nn.Conv1d(FINE, width, 3, padding=1),
            Residual(width, 1),
            Residual(width, 3),
            nn.Conv1d(width, width, SEGMENT, SEGMENT),
            Residual(width, 1),
            Residual(width, 2),
            Snake(width),
            base.zeroed(nn.Conv1d(width, BANDS, 1)),
        )
        self.shape = nn.Sequential(  # envelope and levels of what is kept -> levels of the noise
            nn.Conv1d(2 * BANDS, width, 3, padding=1),
            *(Residual(width, 3 ** (i % 3)) for i in range(depth)),
            Snake(width),
            base.zeroed(nn.Conv1d(width, NODES, 1)),
        )
        nn.init.constant_(self.shape[-1].bias, -0.5)
        self.carrier = nn.Parameter(_signs(tile))

    def encode(self, x: Tensor, envelope: Tensor | None = None) -> Tensor:
        """Return the latent of waveforms.

        Parameters
        ----------
        x
            Waveforms (B, 1, N) of any length, padded to whole strides.
        envelope
            Channels (B, 28, T) to hold in place of its own, such as quantised ones: what is kept
            of the waveforms then stands where a decoder looks for it.

        Returns
        -------
        Tensor
            Latents (B, 128, T), T = 4 ceil(N / 4096): first 28 channels of envelope, in which four
            neighbouring bands share a channel, a frame each; then 100 channels of coefficients.
        """
        c = self.lapped(self.pad(x)[:, 0])  # B x T x H
        bands = self._envelope(c) if envelope is None else _bands(envelope.transpose(1, 2))
        return torch.cat([_channels(bands), _gathered(c, bands)], -1).transpose(1, 2)

    def _envelope(self, c: Tensor) -> Tensor:
        """Return the envelope (B, G, bands) of coefficients (B, T, H)."""
        envelope = envelope_of(c, self.spread)
        if not self.networks:
            return envelope
        fine = (c.square() + 1e-12).unflatten(-1, (FINE, -1)).mean(-1)  # B x T x fine
        change = self.listen(_level(fine).transpose(1, 2)).transpose(1, 2)
        return envelope * (0.25 * torch.tanh(change)).exp()

    def decode(self, z: Tensor, noise: bool = True) -> Tensor:
        """Return waveforms of latents.

        Parameters
        ----------
        z
            Latents (B, 128, T).
        noise
            Whether noise stands where no coefficients are kept, as for listening; without it the
            error is least.

        Returns
        -------
        Tensor
            Waveforms (B, 1, 1024 T).

        Raises
        ------
        ValueError
            If the latents are not 128 channels of whole segments of four frames.
        """
        envelope, kept = _unpacked(z)
        if not (noise and self.noise):
            return self.lapped.inverse(kept)[:, None]
        if not self.networks:
            return self.lapped.inverse(fill(kept, envelope, self.spread))[:, None]
        gaps = 1 - _scattered(torch.ones_like(z[:, ENVELOPE:]).transpose(1, 2), envelope)
        loudness = envelope.square().repeat_interleave(SEGMENT, 1)  # B x T x bands
        return self.lapped.inverse(kept + gaps * self._noise(loudness, kept))[:, None]

    def between(self, z_a: Tensor, z_b: Tensor, position: float) -> Tensor:
        """Mix two sounds where their coefficients stand, and keep what is loud in the mixture.

        A straight path between latents adds coefficients that may belong to different bands.

        Parameters
        ----------
        z_a, z_b
            Latents (B, 128, T).
        position
            0 is A and 1 is B.

        Returns
        -------
        Tensor
            Latents (B, 128, T).

        Raises
        ------
        ValueError
            As `decode`.
        """
        (left, a), (right, b) = _unpacked(z_a), _unpacked(z_b)
        envelope = torch.lerp(left, right, position)
        kept = _gathered(torch.lerp(a, b, position), envelope)
        return torch.cat([_channels(envelope), kept], -1).transpose(1, 2)

    def scale(self, z: Tensor) -> Tensor:
        """Return by what values are divided before they are rounded.

        Parameters
        ----------
        z
            Latents (B, 128, T).

        Returns
        -------
        Tensor
            (B, 128, T): for a coefficient the amplitude of its band, so that its steps follow the
            loudness as in any audio codec; 1 for the envelope.

        Raises
        ------
        ValueError
            As `decode`.
        """
        envelope, _ = _unpacked(z)
        loudness = (envelope.square() @ self.spread).repeat_interleave(SEGMENT, 1)  # B x T x H
        kept = _gathered(loudness, envelope).clamp_min(1e-6).transpose(1, 2)
        return torch.cat([torch.ones_like(z[:, :ENVELOPE]), kept], 1)

    def _noise(self, loudness: Tensor, kept: Tensor) -> Tensor:
        """Make the noise (B, T, H) of bands (B, T, bands) in which coefficients are kept."""
        levels = [_level(loudness.square()), _level(kept.square() @ self.spread.T)]
        gain = self.shape(torch.cat(levels, -1).transpose(1, 2)).transpose(1, 2)  # B x T x nodes
        gain = nn.functional.interpolate(gain.clamp(max=LOUDEST), HOP, mode="linear").exp()
        times = torch.arange(gain.shape[1], device=gain.device) % len(self.carrier)
        return gain * self.carrier[times] * (loudness @ self.spread)

    def _step(self, batch: tuple[Tensor, ...], stage: str, index: int) -> Tensor:
        """Log the distances; in training return their sum, of a part of each window."""
        if stage != "train":
            return super()._step(batch, stage, index)
        x = mdct.crops(batch[0], self.crop * self.stride, self.step_generator(index))
        x_hat = self(x).x_hat
        mse = nn.functional.mse_loss(x_hat, x)
        distance = base.mrstft(x, x_hat).sum() / len(x)  # silent crops have none
        self.log_means(stage, {"mse": mse, "mrstft": distance}, len(x))
        return mse / UNIT + self.weight * distance

    def on_train_epoch_start(self) -> None:
        """Start from a noise whose spectrum is even; it takes seconds, so only where one trains."""
        if self.global_step == 0:
            steps = min(500, self.total_steps // 3)
            self.carrier.data.copy_(even_noise(len(self.carrier), steps))

    def clip_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Shorten long gradients; skip one that is not finite, which would end the training."""
        if not torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0).isfinite():
            optimizer.zero_grad()

    def _rates(self) -> list[tuple[list[nn.Parameter], float]]:
        """Train the carrier faster: each of its coefficients sounds in few frames."""
        others = [value for name, value in self.named_parameters() if name != "carrier"]
        return [(others, 1.0), ([self.carrier], 3.0)]


def band_matrix() -> Tensor:
    """Return which bins each band holds, as ones (bands, H)."""
    return torch.eye(BANDS).repeat_interleave(torch.tensor(EDGES).diff(), 1)


def envelope_of(c: Tensor, spread: Tensor) -> Tensor:
    """Measure the envelope of coefficients.

    Parameters
    ----------
    c
        Coefficients (B, T, H) of the lapped transform, T a multiple of four.
    spread
        Bands, see `band_matrix`.

    Returns
    -------
    Tensor
        Root of the amplitude of each band (B, G, bands), four frames together: nearer to perceived
        loudness than amplitudes, and kinder to distances.
    """
    power = (c.square() + 1e-12).unflatten(1, (-1, SEGMENT)).mean(2)  # B x G x H
    return (power @ spread.T / spread.sum(1)).pow(0.25)


def fill(c: Tensor, envelope: Tensor, spread: Tensor) -> Tensor:
    """Add noise of random signs wherever coefficients have less power than their envelope says.

    Parameters
    ----------
    c
        Coefficients (B, T, H).
    envelope, spread
        As in `envelope_of`.

    Returns
    -------
    Tensor
        Coefficients (B, T, H) whose bands have the power of the envelope or more; nothing in this
        is learned.

    Notes
    -----
    Herre and Schulz (1998), Extending the MPEG-4 AAC codec by perceptual noise substitution.
    """
    there = envelope_of(c, spread).pow(4)
    lacking = (envelope.pow(4) - there).clamp_min(0).sqrt()  # B x G x bands
    signs = _signs(c.shape[1]).to(c)
    return c + signs * (lacking @ spread).repeat_interleave(SEGMENT, 1)


def _unpacked(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return envelope (B, G, bands) and coefficients (B, T, H), in their places, of latents."""
    if z.ndim != 3 or z.shape[1] != CHANNELS or z.shape[2] % SEGMENT or not z.shape[2]:
        shape = tuple(z.shape)
        raise ValueError(f"latents are {shape}; give (B, {CHANNELS}, T), T a multiple of {SEGMENT}")
    channels, values = z.transpose(1, 2).split([ENVELOPE, CHANNELS - ENVELOPE], -1)
    envelope = _bands(channels).clamp_min(0)
    return envelope, _scattered(values, envelope)


def _gathered(c: Tensor, envelope: Tensor) -> Tensor:
    """Return of coefficients (B, T, H) those (B, T, kept) of the loudest bands of an envelope."""
    places = _places(envelope)
    return c.flatten(1).gather(1, places.flatten(1)).view_as(places)  # B x T x kept


def _scattered(values: Tensor, envelope: Tensor) -> Tensor:
    """Return coefficients (B, T, H) from those (B, T, kept) of the loudest bands, else zero."""
    c = values.new_zeros(len(values), values.shape[1] * HOP)
    c = c.scatter(1, _places(envelope).flatten(1), values.flatten(1))
    return c.unflatten(1, (-1, HOP))  # B x T x H


def _bands(channels: Tensor) -> Tensor:
    """Return an envelope (B, G, bands) from its channels (B, T, 28), of four bands each."""
    return channels.unflatten(1, (-1, SEGMENT)).transpose(2, 3).flatten(2)


def _channels(envelope: Tensor) -> Tensor:
    """Return the channels (B, T, 28) of an envelope (B, G, bands)."""
    return envelope.unflatten(-1, (-1, SEGMENT)).transpose(2, 3).flatten(1, 2)


def _level(power: Tensor) -> Tensor:
    """Bring powers to a logarithmic scale near -2 to 1."""
    return (power + 1e-10).log() / 8 + 1


def _places(envelope: Tensor) -> Tensor:
    """Return where the kept coefficients (B, T, kept) stand among all, T H of them.

    In each block of segments the loudest bands of an envelope (B, G, bands) are kept, in the order
    of time and then of frequency, so that the latent runs along the sound.
    """
    blocks = envelope.detach()[..., :CANDIDATES].split(BLOCK, 1)
    starts = range(0, envelope.shape[1], BLOCK)
    loudest = [
        part.flatten(1).topk(KEPT * part.shape[1], -1).indices.sort(-1).values + CANDIDATES * start
        for part, start in zip(blocks, starts, strict=True)
    ]
    bands = torch.cat(loudest, -1).unflatten(-1, (-1, 1, KEPT, 1))  # B x G x 1 x bands x 1
    segment, band = bands // CANDIDATES, bands % CANDIDATES
    frame = torch.arange(SEGMENT, device=bands.device)[:, None, None]
    bins = (segment * SEGMENT + frame) * HOP + band * WIDE + torch.arange(WIDE, device=bands.device)
    return bins.flatten(3).flatten(1, 2)  # B x T x kept


def _signs(tile: int) -> Tensor:
    """Return coefficients (tile, H) of noise: random signs, the same each time."""
    return torch.randn(tile, HOP, generator=torch.Generator().manual_seed(0)).sign()


def even_noise(tile: int, steps: int) -> Tensor:
    """Make noise that is near to any other noise in the multi-resolution STFT distance.

    Two random noises differ much in that distance, as each has gaps of its own. This one is
    moved, by `steps` steps of Adam, towards the middle of all: its spectrum has few gaps.

    Parameters
    ----------
    tile
        Frames of the noise.
    steps
        Steps; each draws another white noise to compare with. 500 take about 20 s.

    Returns
    -------
    Tensor
        Coefficients (tile, 1024) of the lapped transform, the same for the same arguments.
    """
    lapped = mdct.Lapped(HOP)
    generator = torch.Generator().manual_seed(1)
    noise = nn.Parameter(_signs(tile))
    optimizer = torch.optim.Adam([noise], 0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(steps):
        with torch.no_grad():
            others = _spectra(lapped.inverse(torch.randn(1, tile, HOP, generator=generator)))
        pairs = zip(_spectra(lapped.inverse(noise[None])), others, strict=True)
        loss = sum((ours - other).abs().mean() for ours, other in pairs) / len(others)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return noise.detach()


def _spectra(y: Tensor) -> list[Tensor]:
    """Return log-magnitudes of waveforms (B, N), at each resolution of the distance."""
    spectra = []
    for n_fft, hop_length, win_length in RESOLUTIONS:
        window = torch.hann_window(win_length)
        s = torch.stft(y, n_fft, hop_length, win_length, window, return_complex=True)
        spectra.append(0.5 * torch.view_as_real(s).square().sum(-1).clamp_min(1e-8).log())
    return spectra
