"""Sound as pictures: log-magnitude spectrograms, cut into patches `[frames, bins, 1]` of numbers in [0, 1]."""

import dataclasses
import functools

import numpy as np

RANGE_DB = 80.0  # what lies further below full scale is silence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spectrogram:
    """How samples become patches. The shape of a patch says all but the rate, so that it can be inverted.

    A frame is the Fourier transform of 2 * bins samples under a Hann window; the next begins bins / 2 samples later.
    Its bins are the frequencies 0, 1, ..., bins - 1 times sample_rate / (2 * bins) Hz; the last, half the sample rate,
    is left out. With the defaults a window is 32 ms, a bin 31 Hz wide and a patch half a second.

    Attributes:
      frames, bins: of a patch; bins are even.
      sample_rate: in Hz.
    """

    frames: int = 64
    bins: int = 128
    sample_rate: int = 8_000

    @property
    def window_size(self) -> int:
        """Samples of a frame."""
        return 2 * self.bins

    @property
    def hop(self) -> int:
        """Samples from a frame to the next."""
        return self.bins // 2

    @property
    def step(self) -> int:
        """Samples from a patch to the next."""
        return self.frames * self.hop

    @property
    def num_samples(self) -> int:
        """Samples that the frames of a patch cover."""
        return self.step - self.hop + self.window_size

    @functools.cached_property
    def window(self) -> np.ndarray:
        """The periodic Hann window, `[window_size]`."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window_size) / self.window_size)

    def patches(self, samples: np.ndarray) -> np.ndarray:
        """Samples in [-1, 1] `[n]` as patches one after the other, float32 `[count, frames, bins, 1]`.

        There is at least one, filled up with silence; a rest of less than half a patch is left out.
        """
        count = max(1, int(len(samples) / self.step + 0.5))
        size = (count - 1) * self.step + self.num_samples
        samples = np.pad(samples[:size], (0, max(0, size - len(samples))))
        values = self.levels(np.abs(self.transform(samples)))[:, : self.bins]
        return values.reshape(count, self.frames, self.bins, 1).astype(np.float32)

    def transform(self, samples: np.ndarray) -> np.ndarray:
        """The Fourier transforms of the frames of samples `[n]`: complex `[frames, bins + 1]`."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, self.window_size)[:: self.hop]
        return np.fft.rfft(windows * self.window, axis=-1)

    def inverse(self, transforms: np.ndarray) -> np.ndarray:
        """The samples whose `transform` is nearest to `transforms` `[frames, bins + 1]` (Griffin & Lim 1984, eq. 6).

        A frame at either end has no other beside it: samples fade out there instead of being divided by nearly 0.
        """
        windows = np.fft.irfft(transforms, self.window_size, axis=-1) * self.window
        samples = np.zeros((len(windows) - 1) * self.hop + self.window_size)
        weights = np.zeros_like(samples)
        for number, part in enumerate(windows):
            at = slice(number * self.hop, number * self.hop + self.window_size)
            samples[at] += part
            weights[at] += self.window**2
        # sum_m w(n - m h) y_m(n) / sum_m w(n - m h)^2
        return samples / np.maximum(weights, 0.05 * weights.max())

    def levels(self, magnitudes: np.ndarray) -> np.ndarray:
        """Magnitudes as levels: 1 is the most that samples in [-1, 1] can have, 0 is `RANGE_DB` below it."""
        relative = magnitudes / self.window.sum()
        return 1.0 + 20.0 * np.log10(np.maximum(relative, 10 ** (-RANGE_DB / 20))) / RANGE_DB

    def magnitudes(self, levels: np.ndarray) -> np.ndarray:
        """The inverse of `levels`; level 0 is silence."""
        relative = 10 ** (RANGE_DB * (np.minimum(levels, 1.0) - 1.0) / 20.0)
        return np.where(levels > 0, relative, 0.0) * self.window.sum()
