"""Whole runs on the digits, in this process."""

import dataclasses
import glob
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers import digits_config
from tests.training.runs import assert_close, history, weights
from tfvae import config as config_lib
from tfvae import objectives, priors
from tfvae.errors import InputError
from tfvae.training import WorkDir, load_data, train, train_and_evaluate
from tfvae.training.callbacks import Keeper
from tfvae.training.checkpoints import RunState
from tfvae.training.fitting import fresh_model


def run(path, **training):
    config = digits_config(**training)
    return train_and_evaluate(config, str(path / "run"), export_dir=str(path / "export"), verbose=False)


def only_train(path, **training):
    return train(digits_config(**training), str(path / "run"), verbose=False)


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished")
    return path, run(path, num_epochs=4)


@pytest.fixture
def copy(finished, tmp_path):
    """A finished run that a test may change."""
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    # Where outputs lie is recorded as absolute paths.
    record = tmp_path / "run" / "outputs.json"
    record.write_text(record.read_text().replace(str(finished[0]), str(tmp_path)))
    return tmp_path


def test_the_work_directory_holds_what_was_promised(finished):
    path, result = finished
    run_dir = path / "run"
    assert result.trained and result.step in (27, 54, 81, 108)
    for name in ("config.json", "evaluation.json", "pictures/reconstructions.png", "pictures/samples.png",
                 "pictures/manifold.png"):  # fmt: skip
        assert (run_dir / name).stat().st_size > 0, name
    assert Image.open(run_dir / "pictures" / "manifold.png").size[0] > 300
    newest = sorted(int(p.stem.split("-")[1]) for p in (run_dir / "checkpoints").glob("ckpt-*.index"))
    assert newest == [54, 81, 108]
    assert len(list((run_dir / "checkpoints" / "best").glob("ckpt-*.index"))) == 1
    for split in ("train", "validation"):
        assert glob.glob(str(run_dir / "logs" / split / "events*"))
    assert sorted(os.listdir(path / "export")) == ["1"]
    assert os.path.samefile(result.export, path / "export" / "1")


def test_the_evaluation_says_what_its_names_say(finished):
    evaluation = json.loads((finished[0] / "run" / "evaluation.json").read_text())
    assert evaluation["elbo"] == -(evaluation["rate"] + evaluation["distortion"])
    assert evaluation["elbo"] <= evaluation["log_likelihood"] < 0 < evaluation["rate"]
    assert (evaluation["split"], evaluation["num_examples"], evaluation["units"]) == ("test", 297, "nats")
    bits = -evaluation["log_likelihood"] / 64 / np.log(2)
    assert evaluation["bits_per_dim"] == pytest.approx(bits)
    assert 0 < evaluation["log_likelihood_standard_error"] < 2


def test_tensorboard_shows_the_terms_over_optimizer_steps(finished):
    seen = {}
    for split in ("train", "validation"):
        for path in (finished[0] / "run" / "logs" / split).glob("*"):
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                for value in event.summary.value:
                    seen.setdefault((split, value.tag), []).append(event.step)
    for tag in ("loss", "elbo", "rate", "distortion", "kl_weight", "learning_rate", "images_per_second"):
        assert seen["train", tag] == [27, 54, 81, 108], tag
    for tag in ("elbo", "rate", "distortion"):
        assert seen["validation", tag] == [27, 54, 81, 108], tag
    assert seen["validation", "reconstructions"] and seen["validation", "samples"] and seen["train", "config"] == [0]


def test_the_config_rebuilds_the_very_model(finished):
    place = WorkDir(str(finished[0] / "run"))
    (vae, config, step), (same, _, _) = place.load_model(), place.load_model()
    assert config.data.item_shape == (8, 8, 1) and step == finished[1].step
    assert config_lib.to_dict(config) == json.loads((finished[0] / "run" / "config.json").read_text())
    test = load_data(config).test.examples(100)
    np.testing.assert_array_equal(vae.encode(test).mean(), same.encode(test).mean())
    # The export was made by the run itself.
    served = tf.saved_model.load(finished[1].export).signatures["encode"](image=tf.constant(test))
    np.testing.assert_allclose(vae.encode(test).mean(), served["mean"], atol=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(finished, tmp_path):
    only_train(tmp_path / "same", num_epochs=4)
    only_train(tmp_path / "other", num_epochs=4, seed=1)
    assert_same(weights(tmp_path / "same"), weights(finished[0]))
    with pytest.raises(AssertionError):
        assert_same(weights(tmp_path / "other"), weights(finished[0]))


def test_a_finished_run_makes_only_what_is_missing(copy):
    before = weights(copy)
    times = {p: p.stat().st_mtime_ns for p in copy.rglob("*") if p.is_file() and p.name not in ("config.json",)}
    assert run(copy, num_epochs=4).trained is False
    assert {p: p.stat().st_mtime_ns for p in times} == times and os.listdir(copy / "export") == ["1"]
    (copy / "run" / "pictures" / "samples.png").unlink()
    (copy / "run" / "evaluation.json").unlink()
    shutil.rmtree(copy / "export" / "1")
    result = run(copy, num_epochs=4)
    assert result.trained is False and os.path.isfile(copy / "export" / "1" / "saved_model.pb")
    assert (copy / "run" / "evaluation.json").exists() and (copy / "run" / "pictures" / "samples.png").exists()
    assert_same(weights(copy), before)


def test_epochs_may_be_raised_and_the_run_equals_one_never_stopped(copy, tmp_path_factory):
    assert (
        only_train(copy, num_epochs=6)
        and json.loads((copy / "run" / "config.json").read_text())["training"]["num_epochs"] == 6
    )
    straight = tmp_path_factory.mktemp("straight")
    only_train(straight, num_epochs=6)
    assert_same(weights(copy), weights(straight))


@pytest.mark.parametrize("jit", ["off", pytest.param("on", marks=pytest.mark.slow)])
def test_steps_made_together_equal_steps_made_alone(jit, tmp_path):
    only_train(tmp_path / "alone", num_epochs=2, steps_per_execution=1, jit_compile=jit)
    only_train(tmp_path / "together", num_epochs=2, steps_per_execution=10, jit_compile=jit)
    ours, theirs = weights(tmp_path / "alone"), weights(tmp_path / "together")
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], atol=1e-5, err_msg=name)


def test_another_config_is_refused_with_its_differing_fields(copy):
    with pytest.raises(InputError, match=r"training\.learning_rate: 0\.5, there 0\.001; training\.seed: 3, there 0"):
        only_train(copy, num_epochs=4, seed=3, learning_rate=0.5)
    with pytest.raises(InputError, match=r"training\.num_epochs: 3, there 4"):
        only_train(copy, num_epochs=3)


@pytest.mark.parametrize(
    ("what", "damage"),
    [
        ("data-00000-of-00001", "flip"),
        ("index", "cut"),
        pytest.param("data-00000-of-00001", "cut", marks=pytest.mark.slow),
        pytest.param("index", "flip", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(copy, what, damage, caplog):
    before = weights(copy)
    path = copy / "run" / "checkpoints" / f"ckpt-108.{what}"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    assert only_train(copy, num_epochs=4)  # the last epoch again
    assert "ckpt-108 is damaged" in caplog.text
    assert_same(weights(copy), before)


def test_all_checkpoints_damaged_is_an_error_and_not_a_fresh_start(copy):
    for path in (copy / "run" / "checkpoints").glob("ckpt-*.index"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of the checkpoints"):
        only_train(copy, num_epochs=4)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"training\.learning_rate: the loss is not finite at step \d+ \(epoch 1\)"):
        run(tmp_path, num_epochs=50, learning_rate=1e25, optimizer="sgd")
    assert not (tmp_path / "run" / "evaluation.json").exists() and not (tmp_path / "export").exists()
    for path in (tmp_path / "run" / "checkpoints").glob("ckpt-*.index"):
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
        kernels = [name for name in reader.get_variable_to_shape_map() if "kernel" in name]
        assert all(np.isfinite(reader.get_tensor(name)).all() for name in kernels)


def test_a_validation_that_is_not_finite_stops_the_run_before_it_is_saved():
    keeper = Keeper(None, RunState(), patience=0, steps_per_epoch=27)  # nothing to save with
    with pytest.raises(InputError, match="the validation ELBO is not finite after epoch 3"):
        keeper.on_epoch_end(2, {"val_elbo": float("nan")})


def test_early_stopping_keeps_the_best_and_is_remembered(tmp_path):
    # A rate of zero never gets better than the first epoch.
    result = run(tmp_path, num_epochs=50, learning_rate=1e-30, early_stopping_patience=2)
    assert result.step == 27
    steps = sorted(int(p.stem.split("-")[1]) for p in (tmp_path / "run" / "checkpoints").glob("ckpt-*.index"))
    assert steps == [27, 54, 81]
    again = run(tmp_path, num_epochs=50, learning_rate=1e-30, early_stopping_patience=2)
    assert not again.trained


def test_a_mirrored_run_gives_the_losses_and_weights_of_one_device(tmp_path):
    # One row is left for the last batch, which gives the second replica none.
    shape = {"num_epochs": 1, "batch_size": 71, "jit_compile": "off"}
    only_train(tmp_path / "one", **shape)
    only_train(tmp_path / "two", **shape, strategy="mirrored")
    assert_close(weights(tmp_path / "one"), weights(tmp_path / "two"), atol=1e-5)
    assert_close(history(tmp_path / "one"), history(tmp_path / "two"), rtol=1e-5)


def test_a_record_that_cannot_be_read_far_into_a_stream_is_one_line(tmp_path):
    """Past the first examples, which are tried before training starts."""

    def record(pixels):
        feature = {name: tf.train.Feature(int64_list=tf.train.Int64List(value=[size]))
                   for name, size in (("height", 2), ("width", 2), ("channels", 1))}  # fmt: skip
        feature["image"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels]))
        return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()

    with tf.io.TFRecordWriter(str(tmp_path / "data.tfrecord")) as writer:
        for index in range(14_000):
            writer.write(record(b"\0\xff\0\xff" if index != 10_900 else b"\0"))
    config = digits_config(num_epochs=1, batch_size=1_000)
    config.data.source = f"tfrecord:{tmp_path}/data.tfrecord"
    config.data.split_order = "sequential"
    with pytest.raises(InputError, match=r"data\.source: received 'tfrecord:.*cannot be read"):
        train(config, str(tmp_path / "run"), verbose=False)


def test_a_moved_run_and_an_export_elsewhere_make_nothing_again(copy, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved")
    shutil.move(copy / "run", moved / "run")
    config, export = digits_config(num_epochs=4), str(copy / "export")
    train_and_evaluate(config, str(moved / "run"), export_dir=str(moved / "elsewhere"), verbose=False)
    evaluated = (moved / "run" / "evaluation.json").stat().st_mtime_ns
    train_and_evaluate(config, str(moved / "run"), export_dir=export, verbose=False)
    assert os.listdir(export) == ["1"] and os.listdir(moved / "elsewhere") == ["1"]
    assert (moved / "run" / "evaluation.json").stat().st_mtime_ns == evaluated


def test_a_bad_export_folder_is_found_before_training(tmp_path):
    (tmp_path / "export").write_text("a file")
    with pytest.raises(InputError, match="--export_dir"):
        run(tmp_path, num_epochs=1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("prior", "estimator", "says"),
    [
        pytest.param(
            priors.StandardNormal(), "analytic", "training: the KL is analytic", marks=pytest.mark.slow, id="analytic"
        ),
        (priors.MixtureOfNormals(num_components=2), "monte_carlo", "training: the KL is estimated from the draws of z"),
    ],
)
def test_the_estimator_of_the_kl_is_told(prior, estimator, says, tmp_path, capsys):
    config = digits_config(num_epochs=1)
    config.model.prior = prior
    result = train_and_evaluate(config, str(tmp_path / "run"), export_dir=str(tmp_path / "export"))
    assert says in capsys.readouterr().err
    card = json.loads((pathlib.Path(result.export) / "model_card.json").read_text())
    assert card["training"]["kl"] == estimator


def test_the_best_checkpoint_goes_by_the_objective(tmp_path):
    # A rate without a price only grows, and the ELBO falls, while the reconstruction gets better.
    config = digits_config(num_epochs=6, learning_rate=0.01)
    config.objective = objectives.SGVB_B(kl_weight=0.0)
    result = train_and_evaluate(config, str(tmp_path / "run"), export_dir=str(tmp_path / "export"), verbose=False)
    assert result.step == 6 * 27


def test_a_run_of_before_a_field_came_goes_on(tmp_path):
    only_train(tmp_path, num_epochs=1)
    path = tmp_path / "run" / "config.json"
    values = json.loads(path.read_text())
    del values["model"]["conditional"], values["data"]["scale"]
    path.write_text(json.dumps(values))
    assert only_train(tmp_path, num_epochs=2)


@pytest.mark.parametrize("objective", [objectives.MAP(), objectives.BetaTCVAE()], ids=lambda o: o.tag)
def test_a_run_tells_its_objective_the_size_of_the_data(objective):
    config = digits_config()
    config.objective = objective
    dataset = load_data(config)
    found = dataclasses.replace(config, data=dataclasses.replace(config.data, item_shape=dataset.item_shape))
    assert fresh_model(found, dataset).num_examples == dataset.train.num_examples == 1350
