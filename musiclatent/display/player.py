"""Decode latents and play them: written as sound and picture, or asked for by sliders."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from IPython.display import HTML

from musiclatent import audio
from musiclatent.audio.windows import Transform
from musiclatent.config import SEED
from musiclatent.display import sounds, style
from musiclatent.latents import generation
from musiclatent.latents.class_sampler import ClassSampler
from musiclatent.latents.decode import decode, interpolate
from musiclatent.models.base import LitModule
from musiclatent.training.run_folder import Run

KEPT = 64  # sounds that a listener remembers


@dataclass(frozen=True)
class Listener:
    """Plays latents of one trained experiment.

    Parameters
    ----------
    run
        The trained experiment.
    transform
        What its study's models take, which knows the way back to sound.
    heard
        The last sounds that were decoded, by the bytes of their latents.
    """

    run: Run
    transform: Transform
    heard: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def model(self) -> LitModule:
        """The model, loaded once: a slider asks for it at every move."""
        return self.run.load()

    @property
    def sr(self) -> int:
        """Sample rate of the sound in Hz."""
        return self.transform.sr

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return the sound (B, N) of latents `z` (B, K, T)."""
        keys = [np.float32(one).tobytes() for one in z]
        fresh = [i for i, key in enumerate(keys) if key not in self.heard]
        if fresh or not len(z):  # none at all is refused there
            x_hat = decode(self.model, z[fresh], z.shape[1:])
            sounds = self.transform.to_audio(x_hat[..., : self.transform.shape[-1]])
            self.heard.update(zip((keys[i] for i in fresh), sounds, strict=True))
        found = np.stack([self.heard[key] for key in keys])
        for key in list(self.heard)[:-KEPT]:
            del self.heard[key]
        return found

    def present(self, latents: dict[str, np.ndarray], folder: Path, name: str) -> HTML:
        """Write each latent as a wav file and all as one picture; return their players.

        Parameters
        ----------
        latents
            Title -> latent (K, T).
        folder
            Folder of a study's results; sounds go to ``audio``, the picture to ``figures``.
        name
            Beginning of the files' names.
        """
        clips = list(zip(latents, self.decode(np.stack(list(latents.values()))), strict=True))
        for place in ("audio", "figures"):
            (folder / place).mkdir(parents=True, exist_ok=True)
        for title, y in clips:
            audio.write(folder / "audio" / f"{name}_{title.replace(' ', '_')}.wav", y, self.sr)
        style.present(sounds.gallery(clips, self.sr), folder / "figures" / f"{name}.png")
        return HTML(sounds.players(clips, self.sr))

    def play(self, z: np.ndarray, title: str) -> HTML:
        """Return a player of one latent (K, T)."""
        return HTML(sounds.player(self.decode(z[None])[0], self.sr, title))

    def interpolate(
        self, z_a: np.ndarray, z_b: np.ndarray, steps: int, kind: str = "linear"
    ) -> np.ndarray:
        """Go from one latent to another in equal steps; linear is the model's own path, if any.

        Parameters
        ----------
        z_a, z_b, steps, kind
            As in `generation.interpolate`, of one window.

        Returns
        -------
        ndarray
            (steps, K, T): the first is A, the last B.
        """
        straight = generation.interpolate(z_a, z_b, steps, kind)
        if kind != "linear":
            return straight
        path = interpolate(self.model, z_a, z_b, np.linspace(0, 1, steps))
        return straight if path is None else path

    def between(self, position: float, z_a: np.ndarray, z_b: np.ndarray, kind: str) -> HTML:
        """Play a position between two latents (K, T), from 0 (A) to 1 (B); for a slider."""
        path = interpolate(self.model, z_a, z_b, [position]) if kind == "linear" else None
        z = generation.blend(z_a, z_b, position=position, kind=kind) if path is None else path[0]
        return self.play(z, f"{kind}, {position:.2f} of the way from A to B")

    def edited(self, component: int, amount: float, z: np.ndarray, size: np.ndarray) -> HTML:
        """Play a latent (K, T), one component moved by `amount` times its `size`; for a slider."""
        z = generation.edit(z, component, amount=amount, size=size)
        return self.play(z, f"component {component}, {amount:+.1f} standard deviations")


def say(sampler: ClassSampler, label: str, *, speaker: str = "", seed: int = SEED) -> HTML:
    """Return a player of a new sound of a label, as a speaker; for a widget."""
    _, samples = sampler.sample(1, label, speaker, seed=seed)
    title = f"{label} as {speaker}" if speaker else label
    return HTML(sounds.player(samples.sounds()[0], samples.transform.sr, title))
