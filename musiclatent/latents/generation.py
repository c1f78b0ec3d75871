"""Make new latents: drawn at random, with noise, edited, or interpolated between two sounds.

Latents are arrays (K, T) of one window, or (B, K, T) of windows in the order of time; what comes
back is float32 of the same shape unless said. `decode.decode` turns it into sound.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.mixture import GaussianMixture

from musiclatent.config import SEED
from musiclatent.files import pick

FRAMES = 20_000  # of a corpus that a distribution is fitted to: more change nothing
MIXTURE = 8  # components of the Gaussian mixture; our choice


def random(z: np.ndarray, n: int, *, kind: str = "normal", seed: int = SEED) -> np.ndarray:
    """Draw latents at random.

    Parameters
    ----------
    z
        Latents (B, K, T) of a corpus.
    n
        How many to draw.
    kind
        ``normal``: standard normal values, which take nothing of the corpus but its shape;
        ``gaussian``: mean and covariance of the corpus' frames, and on each principal axis the
        correlation from frame to frame (an autoregressive process of order 1);
        ``mixture``: eight Gaussians, diagonal on the principal axes of the corpus' frames; each
        frame is drawn by itself.
    seed
        Seed of the draws.

    Returns
    -------
    ndarray
        (n, K, T) float32.

    Raises
    ------
    ValueError
        If `z` is no such array, `n` is below 1, or there is no such `kind`.
    """
    z = _validated(z, (3,))
    if n < 1:
        raise ValueError(f"n is {n}; draw at least 1")
    draw = pick({"normal": _normal, "gaussian": _gaussian, "mixture": _mixture}, kind, "kind")
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(z), min(len(z), -(-FRAMES // z.shape[2])), replace=False)
    corpus = z[np.sort(rows)].astype(np.float64).transpose(0, 2, 1)  # B x T x K
    return draw(corpus, n, rng).transpose(0, 2, 1).astype(np.float32)  # n x K x T


def _normal(corpus: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw standard normal values (n, T, K)."""
    return rng.standard_normal((n, *corpus.shape[1:]))


def _principal(corpus: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (B, T, K) of variance 1 on the principal axes, and the mean and matrix back."""
    mean = corpus.mean(axis=(0, 1))
    centred = corpus - mean
    covariance = np.einsum("btj,btk->jk", centred, centred) / centred[..., 0].size  # K x K
    variance, axes = np.linalg.eigh(covariance)
    size = np.sqrt(np.clip(variance, 0, None))
    return centred @ axes / np.where(size > 0, size, 1), mean, size[:, None] * axes.T


def _gaussian(corpus: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw frames (n, T, K) with the mean, covariance and autocorrelation of `corpus` (B, T, K)."""
    scores, mean, back = _principal(corpus)
    memory = (scores[:, 1:] * scores[:, :-1]).sum(axis=(0, 1)) / max(1, scores[:, 1:, 0].size)
    memory = np.clip(memory, -0.999, 0.999)
    drawn = _normal(corpus, n, rng)
    for t in range(1, drawn.shape[1]):
        drawn[:, t] = memory * drawn[:, t - 1] + np.sqrt(1 - memory**2) * drawn[:, t]
    return mean + drawn @ back


def _mixture(corpus: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw frames (n, T, K) from a mixture fitted to `corpus` (B, T, K)."""
    scores, mean, back = _principal(corpus)
    frames = scores.reshape(-1, scores.shape[2])
    if len(frames) < 2:
        raise ValueError("a mixture cannot be fitted to a single frame; give more latents")
    components = min(MIXTURE, len(np.unique(frames, axis=0)))
    state = int(rng.integers(2**31))
    # Diagonal on the principal axes: with full matrices 20,000 frames of 64 numbers take 25 s.
    model = GaussianMixture(components, covariance_type="diag", random_state=state).fit(frames)
    drawn, _ = model.sample(n * corpus.shape[1])
    drawn = rng.permutation(drawn)  # they come component by component
    return mean + drawn.reshape(n, *corpus.shape[1:]) @ back


def noise(
    z: np.ndarray, amount: float, *, seed: int = SEED, size: np.ndarray | None = None
) -> np.ndarray:
    """Add noise that is as large as the latents themselves, times `amount`.

    Parameters
    ----------
    z
        Latents (K, T) or (B, K, T).
    amount
        Standard deviation of the noise in standard deviations of each component; 0 adds nothing.
    seed
        Seed of the noise.
    size
        Standard deviations (K, 1) of a corpus, see `spread`; None takes those over the frames of
        `z`, which are 0 for a latent of a single frame.

    Raises
    ------
    ValueError
        If `z` is no such array or `amount` is negative.
    """
    z = _validated(z)
    if not 0 <= amount < np.inf:
        raise ValueError(f"amount is {amount}; it must be 0 or more")
    drawn = np.random.default_rng(seed).standard_normal(z.shape, np.float32)
    return z + np.float32(amount) * (spread(z) if size is None else size) * drawn


def edit(
    z: np.ndarray,
    component: int | Sequence[int],
    *,
    amount: float,
    kind: str = "shift",
    size: np.ndarray | None = None,
) -> np.ndarray:
    """Change chosen components in every frame.

    Parameters
    ----------
    z
        Latents (K, T) or (B, K, T).
    component
        Which of the K components, one or more, from 0.
    amount
        For ``shift`` in standard deviations of the component; for ``scale`` a factor.
    kind
        ``shift`` or ``scale``.
    size
        Standard deviations (K, 1) of a corpus, as in `noise`.

    Raises
    ------
    ValueError
        If `z` is no such array, has no such component, `amount` is not finite, or there is no such
        `kind`.
    """
    z = _validated(z)
    count = z.shape[-2]
    chosen = np.atleast_1d(component)
    if chosen.dtype.kind not in "iu" or not ((chosen >= 0) & (chosen < count)).all():
        raise ValueError(f"component is {component}; choose from 0 to {count - 1}")
    if not np.isfinite(amount):
        raise ValueError(f"amount is {amount}; it must be a finite number")
    edits = {"shift": (1.0, amount), "scale": (amount, 0.0)}
    factor, shift = np.float32(pick(edits, kind, "kind of edit"))
    result = z.copy()
    result[..., chosen, :] = factor * result[..., chosen, :]
    result[..., chosen, :] += shift * (spread(z) if size is None else size)[..., chosen, :]
    return result


def blend(
    z_a: np.ndarray, z_b: np.ndarray, *, position: float | np.ndarray, kind: str = "linear"
) -> np.ndarray:
    """Return the latent at a position between two sounds.

    Parameters
    ----------
    z_a, z_b
        Latents (K, T) or (B, K, T), of the same shape.
    position
        0 is A and 1 is B; one number, or one per frame: (T,) or (B, 1, T).
    kind
        ``linear``, or ``spherical``: each frame moves along the arc between both directions while
        its length moves linearly, so that frames of equal length keep it.

    Raises
    ------
    ValueError
        If the arrays do not fit together, a position is outside, or there is no such `kind`.

    Notes
    -----
    Shoemake (1985), Animating rotation with quaternion curves; White (2016), Sampling generative
    networks.
    """
    z_a, z_b = _validated(z_a), _validated(z_b)
    if z_a.shape != z_b.shape:
        raise ValueError(f"A is {z_a.shape} and B {z_b.shape}; take parts of the same length")
    position = np.asarray(position, np.float32)
    if not ((position >= 0) & (position <= 1)).all():
        raise ValueError("position must lie from 0, which is A, to 1, which is B")
    between = pick({"linear": _linear, "spherical": _spherical}, kind, "kind of blend")
    result = between(z_a, z_b, position).astype(np.float32)
    # The ends are the sounds themselves to the bit, whatever rounding does between.
    return np.where(position == 0, z_a, np.where(position == 1, z_b, result))


def _linear(z_a: np.ndarray, z_b: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolate along the straight line."""
    return (1 - position) * z_a + position * z_b


def _spherical(z_a: np.ndarray, z_b: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolate each frame along the arc; along the line where there is no arc."""
    a, b = z_a.astype(np.float64), z_b.astype(np.float64)
    sizes = [np.linalg.norm(z, axis=-2, keepdims=True) for z in (a, b)]
    a, b = (z / np.where(size > 0, size, 1) for z, size in zip((a, b), sizes, strict=True))
    angle = np.arccos(np.clip((a * b).sum(axis=-2, keepdims=True), -1, 1))
    sine = np.sin(angle)
    arc = np.sin((1 - position) * angle) * a + np.sin(position * angle) * b
    arc = _linear(*sizes, position) * arc / np.where(sine > 0, sine, 1)
    curved = (sine > 1e-6) & (sizes[0] > 0) & (sizes[1] > 0)
    return np.where(curved, arc, _linear(z_a, z_b, position))


def interpolate(z_a: np.ndarray, z_b: np.ndarray, steps: int, kind: str = "linear") -> np.ndarray:
    """Interpolate from one sound to another in equal steps.

    Parameters
    ----------
    z_a, z_b, kind
        As in `blend`.
    steps
        How many positions, both ends among them.

    Returns
    -------
    ndarray
        (steps, K, T) or (steps, B, K, T): the first is A, the last B.

    Raises
    ------
    ValueError
        As `blend`, or if there are fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"steps is {steps}; take at least 2, the ends")
    return np.stack([blend(z_a, z_b, position=p, kind=kind) for p in np.linspace(0, 1, steps)])


def crossover(z_a: np.ndarray, z_b: np.ndarray, kind: str = "linear") -> np.ndarray:
    """Return a latent that begins as one sound and ends as another: the position rises over time.

    Parameters
    ----------
    z_a, z_b, kind
        As in `blend`; windows (B, K, T) follow each other in time.

    Raises
    ------
    ValueError
        As `blend`.
    """
    frames_last = np.moveaxis(_validated(z_a), -2, 0)[0]  # (T,) or B x T
    position = np.linspace(0, 1, frames_last.size).reshape(frames_last.shape)
    return blend(z_a, z_b, position=position[..., None, :], kind=kind)


def _validated(z: np.ndarray, ndims: tuple[int, ...] = (2, 3)) -> np.ndarray:
    """Return latents of a valid shape with finite values only, as float32."""
    z = np.asarray(z)
    if z.ndim not in ndims or not z.size or z.dtype.kind != "f":
        wanted = " or ".join({2: "(K, T)", 3: "(B, K, T)"}[d] for d in ndims)
        raise ValueError(f"latents are {z.dtype} {z.shape}; give floats {wanted}, not empty")
    if not np.isfinite(z).all():
        raise ValueError("latents hold NaN or infinity; encode the sound again")
    return z.astype(np.float32, copy=False)


def spread(z: np.ndarray) -> np.ndarray:
    """Return the standard deviation (K, 1) of each component over all frames of latents `z`."""
    deviation = z.std(axis=(0, 2) if z.ndim == 3 else 1, keepdims=True, dtype=np.float64)
    return deviation.astype(np.float32).reshape(-1, 1)
