"""VGGish's front end written out, to hold the fast one against."""

import numpy as np


def reference_log_mel(y: np.ndarray) -> np.ndarray:
    """Compute what `log_mel` should give, slowly: the published recipe, one step per line.

    It shares no code with `log_mel`, so that their difference is the error of the front end.

    Parameters
    ----------
    y
        As in `log_mel`.

    Returns
    -------
    ndarray
        As of `log_mel`, but float64.
    """
    n, bins = np.arange(400), np.arange(257)
    hann = np.sin(np.pi * n / 400) ** 2
    fourier = np.exp(-2j * np.pi * np.outer(n, bins) / 512)
    frames = [y[start : start + 400] * hann for start in range(0, len(y) - 399, 160)]
    magnitudes = np.abs(np.array(frames).reshape(-1, 400) @ fourier)
    mel = 1127 * np.log(1 + bins * (16_000 / 512) / 700)
    lowest, highest = 1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700)
    step = (highest - lowest) / 65
    bands = np.zeros((len(magnitudes), 64))
    for band in range(64):
        centre = lowest + (band + 1) * step
        for k in range(1, 257):  # not the mean of the signal, bin 0
            weight = 1 - abs(mel[k] - centre) / step
            if weight > 0:
                bands[:, band] += weight * magnitudes[:, k]
    whole = len(bands) // 96 * 96
    return np.log(bands[:whole] + 0.01).reshape(-1, 96, 64)
