"""`tools/complete.py` and what it asks for: every task by default, files, seeds, and one clear line for bad input."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.export.test_parts import ITEMS, LIKELIHOODS, SIZE
from tests.helpers import binary_data, small_vae
from tests.inference.stubs import stub_model
from tests.tools.inside import run_inside
from tfvae import config as config_lib
from tfvae import likelihoods
from tfvae.config import DataConfig
from tfvae.errors import InputError
from tfvae.inference.completion import METHODS, Importance, observations, tasks
from tfvae.inference.completion.importance import resampled
from tfvae.inference.model import Model

ROOT = pathlib.Path(__file__).parents[2]


def test_the_script_with_defaults_alone(small_run, tmp_path, monkeypatch):
    first = run_inside([str(ROOT / "tools" / "complete.py"), f"--workdir={small_run / 'run'}"], tmp_path, monkeypatch)
    assert first.returncode == 0 and "Traceback" not in first.stderr, first.stderr
    figures = json.loads((tmp_path / "inpaint.json").read_text())
    # Eight rows of truth, observed, mean, five draws and uncertainty.
    image = Image.open(tmp_path / "inpaint.png")
    assert image.size[0] / image.size[1] == pytest.approx((9 * 9 - 1) / (8 * 9 - 1))
    assert figures["num_examples"] == 8 and figures["missing_numbers"] == 32
    assert 0 < figures["mean_squared_error"] < 0.3 and -40 < figures["log_likelihood"] < 0
    assert not list(tmp_path.glob(".tmp*"))


# The tasks, in this process ---------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """The default method is one that takes no time."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Short(Importance):
        def latents(self, problem):
            return resampled(problem, 8, 8)

    monkeypatch.setitem(METHODS, "hmc", Short)
    monkeypatch.setattr(observations, "_SWEEPS", 1)


def request_of(path, x, *, shape=(8, 8, 1), likelihood=None, **fields):
    np.savez(path / "x.npz", **({"images": x} if x.ndim == 4 else {"data": x}))
    model = Model.of(small_vae(shape, likelihood=likelihood))
    return tasks.Request(**{"model": model, "input": str(path / "x.npz"), "count": 3} | fields)


@pytest.mark.parametrize(
    ("fields", "observed"),
    [
        ({"task": "inpaint", "mask": "half"}, (8, 8, 1)),
        ({"task": "denoise", "noise": "salt_and_pepper"}, (8, 8, 1)),
        ({"task": "super_resolution"}, (4, 4, 1)),
    ],
)
def test_what_a_task_makes(tmp_path, short, fields, observed):
    x = binary_data(3, (8, 8, 1))
    request = request_of(tmp_path, x, **fields)
    given, found = tasks.run(request)
    assert given.y.shape == (3, *observed)
    np.testing.assert_array_equal(given.truth, x)
    made, figures = tasks.sheet(request, given, found), tasks.figures(request, given, found)
    assert made.columns == 9 and made.items.shape == (27, 8, 8, 1)
    np.testing.assert_array_equal(made.items[::9], x)
    np.testing.assert_array_equal(made.items[2::9], found.mean)
    assert tasks.sheet(request, given, found, suffix=".gif").columns == 5
    missing = given.observation.missing(given.y, (8, 8, 1))
    assert figures["mean_squared_error"] == pytest.approx(np.mean((found.mean - x)[missing] ** 2))
    made.write(request.model, str(tmp_path / "made.npz"))
    with np.load(tmp_path / "made.npz") as arrays:
        np.testing.assert_array_equal(arrays["observed"], given.y)
        np.testing.assert_array_equal(~arrays["mask"], missing)
        assert arrays["draws"].shape == (5, 3, 8, 8, 1) and arrays["stddev"].shape == (3, 8, 8, 1)


def test_an_output_is_an_input_with_holes(tmp_path, short):
    request = request_of(tmp_path, binary_data(3, (8, 8, 1)))
    given, found = tasks.run(request)
    tasks.sheet(request, given, found).write(request.model, str(tmp_path / "made.npz"))
    again = tasks.Request(model=request.model, input=str(tmp_path / "made.npz"), mask="nan", count=3)
    given_again, found_again = tasks.run(again)
    np.testing.assert_array_equal(given_again.y, given.y)
    assert given_again.truth is None and found_again.log_likelihood is None
    np.testing.assert_array_equal(found_again.mean, found.mean)
    assert tasks.sheet(again, given_again, found_again).columns == 8


def test_a_table_with_holes(tmp_path, short):
    kinds = ("categorical:3", "poisson", "gaussian")
    x = np.array([[2, 3, 0.5], [0, 1, np.nan], [np.nan, 4, -1.0]], np.float32)
    request = request_of(tmp_path, x, shape=(3,), likelihood=likelihoods.Table(columns=kinds), mask="nan")
    _, found = tasks.run(request)
    holes = np.isnan(x)
    for values in (found.mean, *found.draws):
        np.testing.assert_allclose(values[~holes], x[~holes])
    assert np.isfinite(found.draws).all() and np.isfinite(found.stddev).all()
    assert set(np.unique(found.draws[:, 2, 0])) <= {0.0, 1.0, 2.0}


def table_model():
    kinds = ("gaussian", "bernoulli", "categorical:3")
    encoding = ('["age", 40, 10]', '["color", ["blue", "red"]]', '["size", ["l", "m", "s"]]')
    data = DataConfig(source="csv:x.csv", encoding=encoding, item_shape=(3,), scale="none")
    config = {"data": config_lib.to_dict(data), "model": {"likelihood": {"columns": list(kinds)}}}
    return Model.of(small_vae((3,), likelihood=likelihoods.Table(columns=kinds)), config=config)


def test_empty_cells_of_a_csv_file_are_filled_in_another(tmp_path, short):
    (tmp_path / "holes.csv").write_text("size,age,color\nm,50,\n,30,red\nl,,blue\n")
    request = tasks.Request(model=table_model(), mask="nan", input=str(tmp_path / "holes.csv"), count=3)
    given, found = tasks.run(request)
    np.testing.assert_array_equal(given.y, [[1, np.nan, 1], [-1, 1, np.nan], [np.nan, 0, 0]])
    tasks.sheet(request, given, found, suffix=".csv").write(request.model, str(tmp_path / "filled.csv"))
    head, *rows = [line.split(",") for line in (tmp_path / "filled.csv").read_text().splitlines()]
    assert head == ["age", "color", "size"] and len(rows) == 3
    assert rows[0][::2] == ["50", "m"] and rows[1][:2] == ["30", "red"] and rows[2][1:] == ["blue", "l"]
    assert float(rows[2][0]) == pytest.approx(40 + 10 * found.mean[2, 0], abs=1e-3)
    assert rows[0][1] in ("blue", "red") and rows[1][2] in ("l", "m", "s")
    with pytest.raises(InputError, match=r"--input: .*received 'xl' in column 'size', expected one of: l, m, s"):
        (tmp_path / "holes.csv").write_text("size,age,color\nxl,50,\n")
        tasks.run(request)


def test_lines_are_completed_by_a_draw_and_not_by_their_most_probable_characters(tmp_path, short):
    model = Model.of(small_vae((4,), likelihood=likelihoods.Categorical(num_categories=5)))
    np.savez(tmp_path / "x.npz", data=[[4, 3, 0, 1]] * 3)
    request = tasks.Request(model=model, input=str(tmp_path / "x.npz"), count=3)
    given, found = tasks.run(request)
    made = tasks.sheet(request, given, found, suffix=".txt")
    np.testing.assert_array_equal(made.items, found.draws[0])
    assert made.columns == 1 and (found.draws[0] != found.mean).any()
    assert "mean_squared_error" not in (figures := tasks.figures(request, given, found))
    assert figures["error_rate"] == np.mean((found.mean != given.truth)[:, 2:])


# Those that differ in how they are completed; the others take as long.
QUICK = ("bernoulli", "categorical", "multinomial", "table")


def test_pixels_that_depend_on_each_other_are_refused(tmp_path, short):
    name = "autoregressive_bernoulli"
    model = Model.of(small_vae((SIZE,), likelihood=LIKELIHOODS[name]))
    np.savez(tmp_path / "x.npz", data=np.tile(np.array(ITEMS[name][0], np.float32), (3, 1)))
    with pytest.raises(InputError, match="has no signature 'log_joint': the dimensions of Autoregressive"):
        tasks.run(tasks.Request(model=model, input=str(tmp_path / "x.npz"), count=3))


INDEPENDENT = [name for name in LIKELIHOODS if name != "autoregressive_bernoulli"]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in INDEPENDENT]
)
def test_every_likelihood_is_inpainted_by_default(tmp_path, short, name):
    model = Model.of(small_vae((SIZE,), likelihood=LIKELIHOODS[name]))
    np.savez(tmp_path / "x.npz", data=np.tile(np.array(ITEMS[name][0], np.float32), (3, 1)))
    request = tasks.Request(model=model, input=str(tmp_path / "x.npz"), count=3)
    given, found = tasks.run(request)
    missing = np.isnan(given.y)
    for values in (found.mean, *found.draws):
        np.testing.assert_array_equal(values[~missing], given.y[~missing])
        assert np.isfinite(values).all()
    assert (found.stddev[missing] > 0).all() and (found.stddev[~missing] == 0).all()
    figures = tasks.figures(request, given, found)
    assert figures.pop("values") == ("mean" if name == "multinomial" else "sample")
    assert all(np.isfinite(value) for value in figures.values() if not isinstance(value, str))
    assert "log_likelihood" in figures


def test_a_model_without_draws_is_noticed_before_the_inference(tmp_path, short):
    given = tasks.Request(model=Model.of(small_vae((SIZE,), likelihood=likelihoods.Multinomial())), method="metropolis",
                          input=str(tmp_path / "x.npz"))  # fmt: skip
    np.savez(tmp_path / "x.npz", data=np.ones((3, SIZE)))
    with pytest.raises(InputError, match="--method: received metropolis, expected hmc: .* has no draws of x"):
        tasks.run(given)


@pytest.mark.parametrize(
    ("sides", "factor"),
    [
        ((28, 28), 4),
        ((16, 16), 4),
        ((8, 8), 2),
        ((9, 15), 3),
        ((20, 30), 5),
        ((18, 36), 3),
        ((7, 14), 7),
        ((17, 17), 17),
    ],
)
def test_the_default_factor_divides_both_sides(tmp_path, sides, factor):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, *sides)))
    request = tasks.Request(model=stub_model(item_shape=(*sides, 1)), input=str(tmp_path / "x.npz"))
    given = tasks.TASKS["super_resolution"](request)
    assert given.observation.factor == factor and given.y.shape[1:3] == (sides[0] // factor, sides[1] // factor)


@pytest.mark.parametrize("factor", [None, 2])
def test_sides_without_a_common_divisor(tmp_path, factor):
    request = tasks.Request(model=stub_model(item_shape=(7, 10, 1)), factor=factor)
    with pytest.raises(InputError, match="7 and 10, the images' sides, have no common divisor above 1, such as 28"):
        tasks.TASKS["super_resolution"](request)


@pytest.mark.parametrize("mask", ["nan", "lower_half"])
def test_labels_that_there_are_none_of(tmp_path, short, mask):
    model = Model.of(small_vae((8, 8, 1), num_labels=3))
    x = binary_data(2, (8, 8, 1))
    if mask == "nan":
        x[:, 0] = np.nan
    np.savez(tmp_path / "x.npz", images=x, labels=[1, 3])
    request = tasks.Request(model=model, input=str(tmp_path / "x.npz"), mask=mask, count=2)
    with pytest.raises(InputError, match=r"received the label 3 .*expected labels of 0 \.\.\. 2"):
        tasks.run(request)
    np.savez(tmp_path / "x.npz", images=x, labels=[1, 2])
    assert tasks.TASKS["inpaint"](request).labels.tolist() == [1, 2]


def test_what_is_corrupted_already_has_no_truth(tmp_path, short):
    y = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    request = request_of(tmp_path, y, task="denoise", corrupted=True, count=2)
    given, _ = tasks.run(request)
    np.testing.assert_array_equal(given.y, y[:2])
    assert given.truth is None
    small = request_of(tmp_path, np.full((3, 4, 4, 1), 0.25), task="super_resolution", corrupted=True)
    _, found = tasks.run(small)
    np.testing.assert_allclose(found.draws.reshape(5, 3, 4, 2, 4, 2).sum(axis=(3, 5)), 1.0)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"task": "sharpen"}, "--task: received 'sharpen', expected one of: inpaint, denoise, super_resolution"),
        ({"method": "gibbs"}, "--method: received 'gibbs', expected one of: "),
        ({"task": "denoise", "method": "metropolis"}, "--method: received metropolis, which is for inpaint, expected"),
        ({"task": "denoise", "sigma": 0.0}, "--sigma: received 0, expected a number above 0"),
        ({"task": "denoise", "noise": "bernoulli", "share": 1.0}, "--share: received 1, expected"),
        ({"task": "denoise", "noise": "pink"}, "--noise: received 'pink', expected one of: gaussian"),
        ({"task": "super_resolution", "factor": 3}, "--factor: received 3, expected a number above 1 that divides 8"),
        ({"mask": "none.png"}, "--mask: received 'none.png', expected one of"),
        ({"label": 3}, "--label: received 3, expected none"),
        ({"values": "median"}, "--values: received 'median', expected one of: sample, mean"),
        ({"task": "denoise", "corrupted": True, "input": None}, "--input: received none, expected a file"),
    ],
)
def test_bad_input(tmp_path, short, fields, says):
    with pytest.raises(InputError, match=says):
        tasks.run(request_of(tmp_path, binary_data(3, (8, 8, 1)), **fields))


def test_vectors_are_no_images_and_counts_have_no_ends(tmp_path, short):
    with pytest.raises(InputError, match="--task: received super_resolution, .*are no images"):
        tasks.run(request_of(tmp_path, binary_data(3, (8,)), shape=(8,), task="super_resolution"))
    request = request_of(tmp_path, np.ones((3, 8)), shape=(8,), likelihood=likelihoods.Poisson(), task="denoise",
                         noise="bernoulli")  # fmt: skip
    with pytest.raises(InputError, match="--noise: received noise that needs a range, expected gaussian"):
        tasks.run(request)
