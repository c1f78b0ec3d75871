"""A Gaussian mixture by regression: draw latents that go with given conditions."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture

from musiclatent.config import SEED

RIDGE = 1e-3  # added to every variance of standardised numbers


@dataclass(frozen=True, kw_only=True)
class ConditionalMixture:
    """A mixture of Gaussians of conditions and latents together, from which latents are drawn.

    With one component it is the linear regression of the latents on the conditions, with noise of
    one covariance.

    Parameters
    ----------
    mean, scale
        Of conditions and latents, by which they were standardised (C + K,).
    weights, means, covariances
        Of the components: (M,), (M, C + K) and (M, C + K, C + K).
    conditions
        C.

    Notes
    -----
    Ghahramani and Jordan (1994), Supervised learning from incomplete data via an EM approach.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    conditions: int

    def draw(
        self,
        condition: np.ndarray,
        n: int,
        *,
        memory: float,
        spread: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw latents that follow each other.

        Parameters
        ----------
        condition
            Conditions (C,).
        n
            How many latents.
        memory
            Correlation of the noise of a latent with that of the one before, 0 to 1.
        spread
            Factor on the deviation of the noise, 0 or more.
        rng
            Source of the draws; all come from one component.

        Returns
        -------
        ndarray
            (n, K) float32.
        """
        c = (np.asarray(condition) - self.mean[: self.conditions]) / self.scale[: self.conditions]
        chances, means, spreads = self._given(c)
        one = rng.choice(len(chances), p=chances)
        noise = spread * rng.standard_normal((n, means.shape[1]))
        for t in range(1, n):
            noise[t] = memory * noise[t - 1] + np.sqrt(1 - memory**2) * noise[t]
        z = means[one] + noise @ np.linalg.cholesky(spreads[one]).T
        return (z * self.scale[self.conditions :] + self.mean[self.conditions :]).astype(np.float32)

    def _given(self, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return chances (M,), means (M, K) and covariances (M, K, K) where conditions are c."""
        k, logs, means, spreads = self.conditions, [], [], []
        for weight, mean, whole in zip(self.weights, self.means, self.covariances, strict=True):
            off = c - mean[:k]
            gain = np.linalg.solve(whole[:k, :k], whole[:k, k:]).T  # K x C
            distance = off @ np.linalg.solve(whole[:k, :k], off)
            logs.append(np.log(weight) - 0.5 * (distance + np.linalg.slogdet(whole[:k, :k])[1]))
            means.append(mean[k:] + gain @ off)
            spreads.append(whole[k:, k:] - gain @ whole[:k, k:])
        return np.exp(np.array(logs) - logsumexp(logs)), np.array(means), np.array(spreads)


def fit_mixture(
    conditions: np.ndarray, z: np.ndarray, *, components: int, seed: int = SEED
) -> ConditionalMixture:
    """Fit conditions and latents by one mixture.

    Parameters
    ----------
    conditions
        (B, C).
    z
        Latents (B, K).
    components
        M; at least twice as many rows are needed.
    seed
        Of the first components.

    Raises
    ------
    ValueError
        If the lengths differ, a value is not finite, or there are too few rows.
    """
    if len(conditions) != len(z) or len(z) < 2 * components:
        raise ValueError(
            f"there are {len(conditions)} rows of conditions and {len(z)} latents; give as many, "
            f"and at least {2 * components}"
        )
    rows = np.concatenate([conditions, z], axis=1).astype(np.float64)
    if not np.isfinite(rows).all():
        raise ValueError("a condition or a latent is NaN or infinite; leave its row out")
    mean, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    model = GaussianMixture(components, reg_covar=RIDGE, random_state=seed)
    model.fit((rows - mean) / scale)
    return ConditionalMixture(
        mean=mean,
        scale=scale,
        weights=model.weights_,
        means=model.means_,
        covariances=model.covariances_,
        conditions=conditions.shape[1],
    )
