"""Draw music from controls: latents of bars by regression on them, then tempo, key and level.

Tempo, key and level are exact in the latents' own coordinates, as bars are free of them; what a
sampler has to learn is which bars go with a style, a mode, a brightness and a tempo.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.decomposition import PCA

from musiclatent.analysis import projection
from musiclatent.config import SEED
from musiclatent.latents.controlled import bars as bar_spectra
from musiclatent.latents.controlled import mixture
from musiclatent.latents.controlled.mixture import ConditionalMixture

NUMBERS = 64  # of a bar
MEMORY = 0.8  # of a bar's noise in the next one's: a piece keeps to its players
SPREAD = 0.5  # of the noise: at 1 keys are less often heard


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What is asked for of a piece.

    Parameters
    ----------
    tempo
        Beats per minute.
    tonic, mode
        Pitch class (C is 0), and ``major`` or ``minor``.
    brightness
        A number that rises with the treble; its unit is that of the training music's.
    level_db
        RMS in dBFS.
    style
        One of the training music's, or empty.
    beats
        Beats of a bar.
    """

    tempo: float
    tonic: int
    mode: str
    brightness: float
    level_db: float = bar_spectra.LEVEL_DB
    style: str = ""
    beats: int = 4

    @property
    def bar_s(self) -> float:
        """Length of a bar in seconds."""
        return 60 * self.beats / self.tempo


@dataclass(frozen=True, kw_only=True)
class ControlSampler:
    """Draws pieces.

    Parameters
    ----------
    map
        From bars to latents and back.
    distribution
        Of latents, given controls.
    styles
        Names of the styles that it knows.
    spread
        Factor on the deviation of what is drawn.
    """

    map: PCA = field(repr=False)
    distribution: ConditionalMixture = field(repr=False)
    styles: tuple[str, ...]
    spread: float = SPREAD

    def draw(self, controls: Controls, seconds: float, *, seed: int = SEED) -> np.ndarray:
        """Draw a piece.

        Parameters
        ----------
        controls
            What is asked for.
        seconds
            Least length; a piece ends with its bar.
        seed
            Of the draw.

        Returns
        -------
        ndarray
            Samples (N,) float32 at `config.SR`.

        Raises
        ------
        ValueError
            If the style is not known.
        """
        given, rng = conditions([controls], self.styles)[0], np.random.default_rng(seed)
        n = int(np.ceil(seconds / controls.bar_s))
        z = self.distribution.draw(given, n, memory=MEMORY, spread=self.spread, rng=rng)
        return self.decode(z, controls, seed=seed)

    def decode(self, z: np.ndarray, controls: Controls, *, seed: int = SEED) -> np.ndarray:
        """Return the sound (N,) of latents of bars, with the tempo, key and level of controls.

        Parameters
        ----------
        z
            (n, K).
        controls
            Of which tempo, beats, tonic and level are taken.
        seed
            Of the first phases.
        """
        spectra = self.map.inverse_transform(z).astype(np.float32)
        spectra = spectra.reshape(len(z), bar_spectra.FRAMES, bar_spectra.BANDS)
        setting = bar_spectra.Setting(
            tonic=controls.tonic, bar_s=controls.bar_s, level_db=controls.level_db
        )
        return bar_spectra.sound(spectra, setting, seed=seed)

    def encode(self, spectra: np.ndarray) -> np.ndarray:
        """Return the latents (n, K) of spectrograms of bars (n, `FRAMES`, `BANDS`)."""
        return self.map.transform(spectra.reshape(len(spectra), -1))


def fit(
    spectra: np.ndarray,
    controls: Sequence[Controls],
    *,
    components: Sequence[int] = (1,),
    seed: int = SEED,
) -> list[ControlSampler]:
    """Fit samplers to bars of training music.

    Parameters
    ----------
    spectra
        Spectrograms of bars (n, `FRAMES`, `BANDS`), as from `bars.spectra`.
    controls
        What each of these bars is (n).
    components
        Of the mixture of each sampler: 1 is linear regression with Gaussian noise.
    seed
        Of the fit.

    Raises
    ------
    ValueError
        As `mixture.fit_mixture`.
    """
    styles = tuple(sorted({one.style for one in controls}))
    rows = np.asarray(spectra, np.float32).reshape(len(spectra), -1)
    pca = projection.components(rows, NUMBERS, seed=seed)
    z, given = pca.transform(rows), conditions(controls, styles)
    fitted = (mixture.fit_mixture(given, z, components=n, seed=seed) for n in components)
    return [ControlSampler(map=pca, distribution=one, styles=styles) for one in fitted]


def conditions(controls: Sequence[Controls], styles: Sequence[str]) -> np.ndarray:
    """Return controls as numbers (n, 3 + styles): brightness, mode, octave of the tempo, style.

    Raises
    ------
    ValueError
        If a style is none of `styles`.
    """
    unknown = sorted({one.style for one in controls} - set(styles))
    if unknown:
        raise ValueError(f"the style is {unknown[0]!r}; take one of {', '.join(styles)}")
    rows = [
        (one.brightness, one.mode == "minor", np.log2(one.tempo), *(one.style == s for s in styles))
        for one in controls
    ]
    return np.array(rows, float)
