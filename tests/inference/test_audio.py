"""Patches back to sound."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.io import wavfile

from tests.helpers import small_vae
from tfvae import config as config_lib
from tfvae import likelihoods
from tfvae.config import DataConfig
from tfvae.data.audio import tone
from tfvae.data.spectrogram import Spectrogram
from tfvae.errors import InputError
from tfvae.inference import audio
from tfvae.inference.inputs import open_input
from tfvae.inference.model import Model

SHAPE = Spectrogram()
RATE = SHAPE.sample_rate


def sine(frequency):
    return np.sin(2 * np.pi * frequency * np.arange(SHAPE.num_samples) / RATE)


def frequency_of(samples, rate=RATE):
    inner = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner)), 16 * rate))
    return np.argmax(spectrum) / 16


@pytest.fixture(scope="module")
def model():
    """An untrained model of sound."""
    vae = small_vae((8, 16, 1), likelihood=likelihoods.GaussianShared(mean="sigmoid"))
    data = DataConfig(source="wav:somewhere", item_shape=(8, 16, 1), sample_rate=4_000)
    return Model.of(vae, config={"data": config_lib.to_dict(data)}, origin="a test")


@pytest.mark.parametrize("frequency", [220.0, 987.6, 3_100.0])
def test_a_sine_comes_back_with_its_frequency_and_its_level(frequency):
    patch = SHAPE.patches(0.7 * sine(frequency))[0]
    samples = audio.waveform(patch, SHAPE)
    assert samples.shape == (SHAPE.num_samples,)
    assert frequency_of(samples) == pytest.approx(frequency, abs=2.0)
    inner = samples[500:-500]
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(0.7 / np.sqrt(2), rel=0.05)


def test_a_tone_comes_back():
    patch = SHAPE.patches(tone("ai", pitch=150.0, seconds=0.4))[0]
    errors = {
        momentum: [
            np.abs(SHAPE.patches(audio.waveform(patch, SHAPE, iterations=n, momentum=momentum))[0] - patch).mean()
            for n in (0, 10, 60)
        ]
        for momentum in (0.0, 0.99)
    }
    for error in errors.values():
        assert error[0] > 2 * error[1] > 2 * error[2]
    assert errors[0.99][2] < 0.8 * errors[0.0][2] and errors[0.99][2] < 0.01


def test_without_momentum_each_iteration_comes_nearer():
    # Griffin & Lim 1984, section III: the distance of the magnitudes does not grow.
    patch = SHAPE.patches(tone("u", pitch=130.0, seconds=0.4))[0]
    target = SHAPE.magnitudes(np.pad(patch[..., 0], ((0, 0), (0, 1))))
    inner = slice(4, -4)  # at the ends samples are faded

    def distance(iterations):
        samples = audio.waveform(patch, SHAPE, iterations=iterations, momentum=0.0)
        return np.linalg.norm(np.abs(SHAPE.transform(samples))[inner] - target[inner])

    distances = [distance(iterations) for iterations in range(12)]
    assert all(after < before for before, after in itertools.pairwise(distances))


def test_seeds():
    patch = SHAPE.patches(sine(440.0))[0]
    one, again, other = (audio.waveform(patch, SHAPE, iterations=3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


def test_silence():
    assert np.abs(audio.waveform(np.zeros((8, 128, 1)), SHAPE)).max() == 0.0


def test_wav_files_hold_what_was_given(tmp_path):
    samples = 0.5 * sine(300.0)
    (tmp_path / "x.wav").write_bytes(audio.wav(samples, RATE))
    rate, found = wavfile.read(tmp_path / "x.wav")
    assert rate == RATE and found.dtype == np.int16
    np.testing.assert_allclose(found / 32767, samples, atol=1e-4)
    (tmp_path / "x.wav").write_bytes(audio.wav(4 * samples, RATE))  # softer as a whole, not cut
    np.testing.assert_allclose(wavfile.read(tmp_path / "x.wav")[1] / 32767, 2 * samples, atol=1e-4)


def test_write_wav(model, tmp_path):
    shape = audio.spectrogram_of(model)
    assert audio.is_audio(model) and shape == Spectrogram(frames=8, bins=16, sample_rate=4_000)
    items = np.random.default_rng(0).uniform(size=(3, 8, 16, 1)).astype(np.float32)
    path = str(tmp_path / "x.wav")
    audio.write_wav(model, items, path)
    rate, found = wavfile.read(path)
    pause = 600  # 0.15 s
    assert rate == 4_000 and len(found) == 3 * shape.num_samples + 2 * pause
    assert not found[shape.num_samples : shape.num_samples + pause].any()
    audio.write_wav(model, items[1:2], path)
    alone = wavfile.read(path)[1]
    middle = found[shape.num_samples + pause :][: shape.num_samples]
    assert np.corrcoef(middle, alone)[0, 1] > 0.9999  # it has the phases that it had among others
    audio.write_wav(model, items[:0], path)
    assert not wavfile.read(path)[1].any()


def test_refusals(model, tmp_path):
    with pytest.raises(InputError, match=r"^--output: received .*, expected the name of a file that ends in \.wav$"):
        audio.write_wav(model, np.zeros((1, 8, 16, 1)), str(tmp_path / "x.mp3"))
    other = dataclasses.replace(model, config={"data": {"source": "digits"}})
    assert not audio.is_audio(other) and not audio.is_audio(dataclasses.replace(model, config={}))
    with pytest.raises(InputError, match="a test: received a model of other data, expected one of sound: tones, wav"):
        audio.write_wav(other, np.zeros((1, 8, 16, 1)), str(tmp_path / "x.wav"))
    assert not list(tmp_path.iterdir())


def test_sounds_as_input(model, tmp_path):
    # 500 Hz is bin 4 of 16 at 4,000 Hz, whatever the rate of the file
    wavfile.write(tmp_path / "b.wav", RATE, (20_000 * sine(500.0)).astype(np.int16)[:500])
    for given in (str(tmp_path / "b.wav"), str(tmp_path), f"{tmp_path}/*.wav"):
        found = open_input(model, given)
        x, _ = found.first()
        assert x.shape[1:] == (8, 16, 1) and found.names[0].startswith("b.wav")
        assert (x[0, 2:-2, :, 0].argmax(axis=1) == 4).all()
