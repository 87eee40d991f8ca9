"""WAV files and spoken tones as spectrogram patches."""

import struct

import numpy as np
import pytest
from scipy.io import wavfile

from tfvae import data
from tfvae.config import DataConfig
from tfvae.data import audio
from tfvae.data.spectrogram import Spectrogram
from tfvae.errors import InputError

RATE = 8_000


def sine(frequency, seconds=0.55, *, rate=RATE, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def write(tmp_path):
    def write(name, samples, rate=RATE):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        wavfile.write(path, rate, samples)
        return path

    return write


def opened(tmp_path, **fields):
    """All rows of the folder: patches `[n, frames, bins, 1]`, labels, and what was found."""
    found = data.load_whole(DataConfig(source=f"wav:{tmp_path}", **fields))
    split = found.examples
    if not split.has_labels:
        return split.examples(split.num_examples), None, found
    return (*split.examples(split.num_examples, labels=True), found)


# The transform ------------------------------------------------------------------


def test_levels_of_a_sine_are_those_of_the_formula():
    shape = Spectrogram(frames=8, bins=64, sample_rate=RATE)
    assert (shape.window_size, shape.hop, shape.num_samples) == (128, 32, 7 * 32 + 128)
    # Of frequency 10 bins: its magnitude is that of the window's sum / 2 there, half of it beside, nothing elsewhere.
    patch = shape.patches(sine(10 * RATE / 128, amplitude=0.1))[0, ..., 0]
    expected = np.zeros(64)
    expected[10] = 1 + 20 * np.log10(0.05) / 80
    expected[[9, 11]] = 1 + 20 * np.log10(0.025) / 80
    np.testing.assert_allclose(patch, np.tile(expected, (8, 1)), atol=1e-5)


def test_levels_stay_in_the_unit_and_come_back():
    shape = Spectrogram(frames=4, bins=16)
    loudest = shape.patches(np.ones(shape.num_samples))
    assert loudest.max() == pytest.approx(1.0, abs=1e-6) and loudest.min() >= 0.0
    levels = np.linspace(0.01, 1, 50)
    np.testing.assert_allclose(shape.levels(shape.magnitudes(levels)), levels, rtol=1e-9)
    assert shape.magnitudes(np.array([0.0, -1.0])).tolist() == [0.0, 0.0]


def test_transform_is_inverted():
    shape = Spectrogram(frames=20, bins=32)
    samples = np.random.default_rng(0).normal(size=shape.num_samples)
    again = shape.inverse(shape.transform(samples))
    inner = slice(shape.bins, -shape.bins)
    np.testing.assert_allclose(again[inner], samples[inner], atol=1e-12)
    assert np.abs(again).max() <= np.abs(samples).max()  # the ends fade out


@pytest.mark.parametrize(("steps", "count"), [(0.1, 1), (1.0, 1), (1.4, 1), (1.6, 2), (3.0, 3)])
def test_patches_follow_each_other(steps, count):
    shape = Spectrogram(frames=8, bins=16)
    samples = np.random.default_rng(0).uniform(-1, 1, round(steps * shape.step))
    patches = shape.patches(samples)
    assert patches.shape == (count, 8, 16, 1) and patches.dtype == np.float32
    # One after the other they are the frames of the whole, with silence behind it.
    long = np.concatenate([samples, np.zeros(2 * shape.num_samples)])
    whole = shape.levels(np.abs(shape.transform(long)))[: 8 * count, :16]
    if steps != 1.4:  # of which the rest is left out
        np.testing.assert_allclose(patches.reshape(-1, 16), whole, atol=1e-6)


# WAV files ----------------------------------------------------------------------


def test_kinds_of_samples_are_the_same_sound(tmp_path, write):
    wave = sine(500.0, amplitude=0.5)
    kinds = {
        "a8": np.round(128 + 127 * wave).astype(np.uint8), "b16": np.round(32767 * wave).astype(np.int16),
        "c32": np.round((2**31 - 1) * wave).astype(np.int32), "d_float": wave.astype(np.float32), "e_double": wave,
    }  # fmt: skip
    for name, samples in kinds.items():
        write(f"{name}.wav", samples)
    write("f_stereo.wav", np.stack([0 * wave, 2 * wave], axis=1))
    x, labels, found = opened(tmp_path)
    assert labels is None and found.names == (*(f"{name}.wav" for name in kinds), "f_stereo.wav")
    assert x.shape == (6, 64, 128, 1) and x.min() >= 0.0 and x.max() <= 1.0
    for other in x[2:]:
        np.testing.assert_allclose(other, x[1], atol=0.02)
    strong = x[1] > 0.5  # 8 bits are noisy where it is quiet
    np.testing.assert_allclose(x[0][strong], x[1][strong], atol=0.01)
    # The loudest sample is 1, so that the sine is at half of full scale.
    assert x[1].max() == pytest.approx(1 + 20 * np.log10(0.5) / 80, abs=1e-3)
    assert (x[1][:, :, 0].argmax(axis=1) == 500 * 256 // RATE).all()


def test_24_bits(tmp_path, write):
    values = np.round((2**23 - 1) * 0.5 * sine(500.0)).astype("<i4")
    packed = values.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    head = struct.pack("<4sI8sIHHIIHH", b"RIFF", 36 + len(packed), b"WAVEfmt ", 16, 1, 1, RATE, 3 * RATE, 3, 24)
    (tmp_path / "x.wav").write_bytes(head + b"data" + struct.pack("<I", len(packed)) + packed)
    write("y.wav", sine(500.0))
    x = opened(tmp_path)[0]
    np.testing.assert_allclose(x[0], x[1], atol=0.02)


def test_rates_are_brought_to_one(tmp_path, write):
    for rate in (RATE, 22_050, 44_100):
        write(f"{rate}.wav", sine(1_000.0, rate=rate).astype(np.float32), rate)
    x = opened(tmp_path)[0]
    assert (x[..., 0].argmax(axis=2) == 1_000 * 256 // RATE).all()
    x = opened(tmp_path, sample_rate=16_000)[0]
    assert len(x) == 6 and (x[..., 0][:, 5:-5].argmax(axis=2) == 1_000 * 256 // 16_000).mean() > 0.9


def test_labels_names_and_several_patches(tmp_path, write):
    write("cat/one.wav", sine(300.0, 1.6))
    write("cat/two.WAV", sine(300.0))
    write("ant/three.wav", sine(300.0))
    write("ant/.hidden.wav", sine(300.0))
    x, labels, found = opened(tmp_path)
    assert found.names == (
        "ant/three.wav", "cat/one.wav@0.00", "cat/one.wav@0.51", "cat/one.wav@1.02", "cat/two.WAV"
    )  # fmt: skip
    assert found.label_names == ("ant", "cat") and labels.tolist() == [0, 1, 1, 1, 1] and len(x) == 5


def test_globs_and_single_files(tmp_path, write):
    for name in ("a1", "a2", "b1"):
        write(f"{name}.wav", sine(300.0))
    assert data.load_whole(DataConfig(source=f"wav:{tmp_path}/a*.wav")).names == ("a1.wav", "a2.wav")
    assert data.load_whole(DataConfig(source=f"wav:{tmp_path}/b1.wav")).names == ("b1.wav",)


def test_a_file_is_in_one_split(tmp_path, write):
    for number in range(10):
        write(f"{number}.wav", sine(200.0 + 100 * number, 1.6))
    d = data.load(DataConfig(source=f"wav:{tmp_path}", test_fraction=0.2, validation_fraction=0.2))
    seen = {}
    for name in ("train", "validation", "test"):
        x = d.split(name).examples(100)
        seen[name] = {int(file) for file in x[:, 5, :, 0].argmax(axis=1)}
        assert len(x) == 3 * len(seen[name])
    assert [len(files) for files in seen.values()] == [6, 2, 2] and len(set.union(*seen.values())) == 10


def test_one_long_file_is_cut_by_patches(tmp_path, write):
    write("long.wav", sine(300.0, 6.0))
    d = data.load(DataConfig(source=f"wav:{tmp_path}"))
    assert [d.split(name).num_examples for name in ("train", "validation", "test")] == [10, 1, 1]


def test_shape_of_patches(tmp_path, write):
    write("x.wav", sine(500.0))
    assert opened(tmp_path, item_shape=(32, 64, 1))[0].shape == (4, 32, 64, 1)
    for shape in ((64, 128), (64, 127, 1), (64, 128, 3), (64, 14, 1), (8,)):
        with pytest.raises(InputError, match=r"^data\.item_shape: received .*, expected \(frames, bins, 1\)"):
            opened(tmp_path, item_shape=shape)


def test_bad_files(tmp_path, write):
    good = write("good.wav", (32767 * sine(300.0)).astype(np.int16)).read_bytes()
    write("nan.wav", np.array([0.0, np.nan, 0.5], np.float32))
    write("empty.wav", np.zeros(0, np.int16))
    contents = {
        "text.wav": b"no sound at all", "void.wav": b"", "head.wav": good[:30], "half.wav": good[: len(good) // 2 + 1],
        "mp3.wav": b"ID3" + bytes(200),
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "nan.wav", "empty.wav"):
        with pytest.raises(InputError, match=rf"^data\.source: .*{name}: received .* expected ") as caught:
            data.load(DataConfig(source=f"wav:{tmp_path}/{name}"))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="without WAV files, expected files ending in .wav"):
        (tmp_path / "none").mkdir()
        data.load(DataConfig(source=f"wav:{tmp_path}/none"))
    with pytest.raises(InputError, match=r"^data\.resize: received"):
        data.load(DataConfig(source=f"wav:{tmp_path}", resize=(8, 8)))
    with pytest.raises(InputError, match=r"^data\.memory_limit_mb: received 0"):
        data.load(DataConfig(source=f"wav:{tmp_path}/good.wav", memory_limit_mb=0))


def test_silence_is_taken(tmp_path, write):
    write("x.wav", np.zeros(RATE, np.int16))
    assert opened(tmp_path)[0].max() == 0.0


# Spoken tones -------------------------------------------------------------------


def test_a_tone_has_its_pitch_its_length_and_its_formants():
    wave = audio.tone("i", pitch=150.0, seconds=0.4)
    assert len(wave) == 3_200 and np.abs(wave).max() == 1.0
    middle = wave[1_400:1_800] * np.hanning(400)
    spectrum = np.abs(np.fft.rfft(middle, 8 * RATE))
    harmonics = [spectrum[8 * (150 * k - 40) : 8 * (150 * k + 40)].max() for k in range(1, 24)]
    between = [spectrum[8 * (150 * k + 60) : 8 * (150 * k + 90)].max() for k in range(1, 24)]
    assert max(between) < max(harmonics) / 3
    assert int(np.argmax(harmonics[:4])) + 1 == 2  # 300 Hz, next to 270
    assert int(np.argmax(harmonics[9:18])) + 10 in (15, 16)  # next to 2290
    glide = audio.tone("ai", pitch=150.0, seconds=0.4)
    shorter = audio.tone("ai", pitch=150.0, seconds=0.4, tract=1.2)
    assert np.abs(glide - wave).max() > 0.1 and np.abs(glide - shorter).max() > 0.1


def test_tones_are_every_combination_once(monkeypatch):
    monkeypatch.setattr(audio, "PITCHES", audio.PITCHES[:2])
    monkeypatch.setattr(audio, "SECONDS", audio.SECONDS[:2])
    d = data.load(DataConfig(source="tones", item_shape=(32, 32, 1)))
    assert (d.item_shape, d.num_levels, d.label_names, d.num_labels) == ((32, 32, 1), None, audio.WORDS, 10)
    whole = data.load_whole(DataConfig(source="tones", item_shape=(32, 32, 1)))
    x, labels = whole.examples.examples(100, labels=True)
    assert np.bincount(labels).tolist() == [8] * 10 and len(np.unique(x, axis=0)) == 80
    assert whole.names[:3] == ("a-110Hz-240ms-x1", "a-110Hz-240ms-x1.17", "a-110Hz-300ms-x1") and len(whole.names) == 80
    assert len({name.split("-")[0] for name in whole.names}) == 10
    again = data.load_whole(DataConfig(source="tones", item_shape=(32, 32, 1))).examples.examples(100)
    np.testing.assert_array_equal(again, x)
