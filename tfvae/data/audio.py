"""Sources of sound as spectrogram patches `[frames, bins, 1]`: WAV files, and spoken tones that are made here."""

import warnings

import numpy as np
from scipy import signal
from scipy.io import wavfile

from tfvae.config import DataConfig
from tfvae.data import paths, splits
from tfvae.data.paths import first_line, refusal
from tfvae.data.spectrogram import Spectrogram
from tfvae.data.storage import Found
from tfvae.errors import InputError

_FEWEST_BINS = 16
_FULL_SCALE = {"i1": 2**7, "i2": 2**15, "i4": 2**31, "i8": 2**63}

# Resonances of the vowels in Hz (Peterson & Barney 1952, table II, men), and their widths.
_FORMANTS = {
    "a": (730.0, 1090.0, 2440.0), "e": (530.0, 1840.0, 2480.0), "i": (270.0, 2290.0, 3010.0),
    "o": (570.0, 840.0, 2410.0), "u": (300.0, 870.0, 2240.0),
}  # fmt: skip
_WIDTHS = (60.0, 90.0, 150.0)

WORDS = ("a", "e", "i", "o", "u", "ai", "au", "ei", "oi", "ua")
PITCHES = tuple(110.0 * 2 ** (semitone / 12) for semitone in range(12))  # Hz, an octave
SECONDS = (0.24, 0.30, 0.36, 0.42, 0.48)
TRACTS = (1.0, 1.17)  # factors of the formants: a longer and a shorter vocal tract


def spectrogram(config: DataConfig) -> Spectrogram:
    """How sounds of this config become patches: `item_shape`, or the default's, at `sample_rate`.

    Raises:
      InputError: for a shape that is none of patches.
    """
    if not config.item_shape:
        return Spectrogram(sample_rate=config.sample_rate)
    shape = config.item_shape
    if len(shape) != 3 or shape[2] != 1 or shape[1] % 2 or shape[1] < _FEWEST_BINS:
        raise InputError(
            f"data.item_shape: received {shape}, expected (frames, bins, 1) of a spectrogram, bins an even number of "
            f"at least {_FEWEST_BINS}, or () for {(Spectrogram.frames, Spectrogram.bins, 1)}"
        )
    return Spectrogram(frames=shape[0], bins=shape[1], sample_rate=config.sample_rate)


def read_wav(path: str, config: DataConfig) -> Found:
    """The WAV files of a folder, or of its subfolders, whose sorted names are the labels; a glob of files; or one file.

    Integers of 8 to 64 bits, and floats. Channels are averaged, the rate is brought to `data.sample_rate`, and the
    loudest sample of a file to 1. Long files give several patches (see `Spectrogram.patches`), which are called
    `<file>@<second>`. Files are what is cut into splits, so that one has all patches of a file; of one or two files,
    the patches are.
    """
    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")
    shape = spectrogram(config)
    files, labels, label_names, names = paths.collect(path, (".wav",), source=config.source, kind="WAV files")
    parts, megabytes = [], 0.0
    for file in files:
        parts.append(shape.patches(_samples(file, config.sample_rate)))
        megabytes += parts[-1].nbytes / 2**20
        if megabytes > config.memory_limit_mb:
            raise InputError(
                f"data.memory_limit_mb: received {config.memory_limit_mb}, expected more for the {len(files)} files of "
                f"{config.source}: raise it, or lower --config.data.sample_rate"
            )
    counts = np.array([len(part) for part in parts])
    seconds = shape.step / shape.sample_rate
    return Found.of_arrays(
        np.concatenate(parts),
        None if labels is None else np.repeat(labels, counts),
        lambda: _cut(counts, config),
        num_levels=None,
        label_names=label_names,
        names=tuple(
            name if count == 1 else f"{name}@{number * seconds:.2f}"
            for name, count in zip(names, counts, strict=True)
            for number in range(count)
        ),
    )


def _samples(file: str, rate: int) -> np.ndarray:
    """The samples of a file at `rate` Hz, in [-1, 1], `[n]`."""
    try:
        with warnings.catch_warnings():
            # Chunks that are no sound are of no interest; a file that ends too early is damaged.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            warnings.filterwarnings("error", "Reached EOF prematurely", wavfile.WavFileWarning)
            found_rate, samples = wavfile.read(file)
    # SciPy raises ValueError, struct.error, UnboundLocalError and others for damaged files.
    except Exception as error:
        raise refusal(file, f"a file that cannot be read ({first_line(error)})", "a WAV file") from error
    if samples.dtype.kind == "u":
        samples = samples.astype(np.int16) - 128
        full = 2**7
    else:
        full = _FULL_SCALE.get(samples.dtype.str[1:], 1)
    samples = samples.astype(np.float64) / full
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if not samples.size or not found_rate:
        raise refusal(file, "no samples", "some")
    if not np.isfinite(samples).all():
        raise refusal(file, "samples that are NaN or infinite", "finite numbers")
    if found_rate != rate:
        common = np.gcd(found_rate, rate)
        samples = signal.resample_poly(samples, rate // common, found_rate // common)
    return samples / max(np.abs(samples).max(), 1e-9)


def _cut(counts: np.ndarray, config: DataConfig) -> list[np.ndarray]:
    """The rows of each split, for files of these numbers of patches."""
    if len(counts) < 3:
        return splits.cut(int(counts.sum()), config)
    file = np.repeat(np.arange(len(counts)), counts)
    return [np.flatnonzero(np.isin(file, part)) for part in splits.cut(len(counts), config)]


def read_tones(_: str, config: DataConfig) -> Found:
    """1,200 spoken tones: every one of ten words, vowels and glides, at 12 pitches, 5 lengths and by 2 voices, once.

    Labels are the words. A patch holds the first half second: that of the default shape holds all of it.
    """
    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")
    shape = spectrogram(config)
    patches, names = [], []
    for word in WORDS:
        for pitch in PITCHES:
            for seconds in SECONDS:
                for tract in TRACTS:
                    samples = tone(word, pitch=pitch, seconds=seconds, tract=tract, sample_rate=config.sample_rate)
                    patches.append(shape.patches(samples)[0])
                    names.append(f"{word}-{pitch:.0f}Hz-{1000 * seconds:.0f}ms-x{tract:g}")
    return Found.of_arrays(
        np.stack(patches),
        np.repeat(np.arange(len(WORDS)), len(patches) // len(WORDS)),
        lambda: splits.cut(len(patches), config),
        num_levels=None,
        label_names=WORDS,
        names=tuple(names),
    )


def tone(word: str, *, pitch: float, seconds: float, tract: float = 1.0, sample_rate: int = 8_000) -> np.ndarray:
    """A word of vowels as a sum of harmonics, the loudest sample 1: float64 `[seconds * sample_rate]`.

    Args:
      word: vowels; of several the voice glides from the first to the last.
      pitch: in Hz, in the middle; it falls by two semitones.
      seconds: the length.
      tract: factor of the formants.
      sample_rate: in Hz.
    """
    count = round(seconds * sample_rate)
    place = np.linspace(0.0, 1.0, count)
    phase = 2 * np.pi * np.cumsum(pitch * (1.06 - 0.12 * place)) / sample_rate
    # Where the tongue is at a few moments: it rests at either end.
    moments = np.linspace(0.0, 1.0, 9)
    share = moments**2 * (3 - 2 * moments)
    first, last = (np.array(_FORMANTS[vowel])[:, None] for vowel in (word[0], word[-1]))
    formants = tract * ((1 - share) * first + share * last)
    widths = tract * np.array(_WIDTHS)[:, None]
    samples, harmonic, turn = np.zeros(count), np.ones(count, complex), np.exp(1j * phase)
    for number in range(1, int(0.45 * sample_rate / (1.06 * pitch)) + 1):
        harmonic = harmonic * turn
        # A source of -6 dB per octave through the resonances: prod_i 1 / |1 - (f / F_i)^2 + i f B_i / F_i^2|
        ratio = number * pitch / formants
        gain = 1.0 / np.hypot(1.0 - ratio**2, ratio * widths / formants).prod(axis=0) / number
        samples += np.interp(place, moments, gain) * harmonic.imag
    time = np.arange(count) / sample_rate
    rise = np.clip(np.minimum(time / 0.03, (seconds - time) / 0.06), 0.0, 1.0)
    samples *= np.sin(np.pi / 2 * rise) ** 2
    return samples / np.abs(samples).max()
