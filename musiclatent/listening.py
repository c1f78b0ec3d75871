"""Hear latents: decode them, write them as sound and picture, and answer to sliders."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from IPython.display import HTML

from musiclatent import audio, generation, latents, plots
from musiclatent.runs import Run
from musiclatent.spectrograms import Transform


@dataclass(frozen=True)
class Listener:
    """Plays latents of one trained experiment.

    Parameters
    ----------
    run
        The trained experiment.
    transform
        What its study's models take, which knows the way back to sound.
    """

    run: Run
    transform: Transform

    @property
    def sr(self) -> int:
        """Sample rate of the sound in Hz."""
        return self.transform.sr

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return the sound (B, N) of latents `z` (B, K, T)."""
        x_hat = latents.decode(self.run, z, z.shape[1:])
        return self.transform.sound(x_hat[..., : self.transform.shape[-1]])

    def present(self, made: dict[str, np.ndarray], folder: Path, name: str) -> HTML:
        """Write each latent as a wav file and all as one picture; return their players.

        Parameters
        ----------
        made
            Title -> latent (K, T).
        folder
            Folder of a study's results; sounds go to ``audio``, the picture to ``figures``.
        name
            Beginning of the files' names.
        """
        sounds = list(zip(made, self.decode(np.stack(list(made.values()))), strict=True))
        for place in ("audio", "figures"):
            (folder / place).mkdir(parents=True, exist_ok=True)
        for title, y in sounds:
            audio.write(folder / "audio" / f"{name}_{title.replace(' ', '_')}.wav", y, self.sr)
        plots.save(plots.gallery(sounds, self.sr), folder / "figures" / f"{name}.png")
        return HTML(plots.players(sounds, self.sr))

    def play(self, z: np.ndarray, title: str) -> HTML:
        """Return a player of one latent (K, T)."""
        return HTML(plots.player(self.decode(z[None])[0], self.sr, title))

    def between(self, position: float, z_a: np.ndarray, z_b: np.ndarray, kind: str) -> HTML:
        """Play a position between two latents (K, T), from 0 (A) to 1 (B); for a slider."""
        z = generation.blend(z_a, z_b, position, kind)
        return self.play(z, f"{kind}, {position:.2f} of the way from A to B")

    def edited(self, component: int, amount: float, z: np.ndarray, size: np.ndarray) -> HTML:
        """Play a latent (K, T), one component moved by `amount` times its `size`; for a slider."""
        z = generation.edit(z, component, amount, size=size)
        return self.play(z, f"component {component}, {amount:+.1f} standard deviations")


def smoothness(sounds: np.ndarray) -> float:
    """Compare the largest step between neighbouring sounds with the mean step.

    Parameters
    ----------
    sounds
        (B, N), in order.

    Returns
    -------
    float
        1 for equal steps; B - 1 where all of the way is one step. NaN without any way.
    """
    steps = np.sqrt(np.square(np.diff(np.asarray(sounds, float), axis=0)).mean(axis=1))
    return float(steps.max() / steps.mean()) if steps.any() else float("nan")
