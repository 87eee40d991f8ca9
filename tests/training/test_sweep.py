"""A sweep over two values on the digits, in this process."""

import dataclasses
import io
import json
import shutil
import sys

import pytest
from PIL import Image

from tests.helpers import digits_config
from tests.report.common import read
from tfvae.errors import InputError
from tfvae.training import WorkDir, sweep, train, write_report
from tfvae.training.sweep import table, variants

FIELD = "objective.kl_weight"
MODULE = sys.modules["tfvae.training.sweep"]  # its name in the package is that of the function


def config():
    return digits_config(num_epochs=2, learning_rate=0.01, pictures_every=0, jit_compile="off")


def run(path, *values, field=FIELD, verbose=False):
    return sweep(config(), str(path), field=field, values=values, verbose=verbose)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep")
    return path, run(path, "0.01", "5")


def times(path):
    """When each file of the runs was written."""
    return {p: p.stat().st_mtime_ns for p in path.glob("*/**/*") if p.is_file() and p.name != "config.json"}


def test_each_value_has_a_run_of_its_own(swept):
    path, rows = swept
    assert sorted(p.name for p in path.iterdir() if p.is_dir()) == [f"{FIELD}_0.01", f"{FIELD}_5"]
    for row, weight in zip(rows, (0.01, 5.0), strict=True):
        place = WorkDir(str(path / row["workdir"]))
        of_run = place.config()
        assert of_run.objective.kl_weight == row["value"] == weight
        # Nothing else differs but the name and what the data told.
        of_run.objective.kl_weight, of_run.name = 1.0, "small"
        assert of_run == dataclasses.replace(config(), data=of_run.data)
        assert place.load_model()[2] == row["step"]


def test_rows_are_what_the_evaluations_say(swept):
    path, rows = swept
    written = json.loads((path / "sweep.json").read_text())
    assert written == {"config": "small", "field": FIELD, "split": "test", "units": "nats", "rows": rows}
    for row in rows:
        evaluation = json.loads((path / row["workdir"] / "evaluation.json").read_text())
        names = ("elbo", "rate", "distortion", "log_likelihood", "log_likelihood_standard_error", "step")
        assert row == {"value": row["value"], **{name: evaluation[name] for name in names}, "workdir": row["workdir"]}


def test_a_heavier_kl_lowers_the_rate_and_raises_the_distortion(swept):
    light, heavy = swept[1]
    assert light["rate"] > heavy["rate"] + 1 and light["distortion"] < heavy["distortion"] - 0.5


def test_the_plot_is_a_picture(swept):
    assert Image.open(io.BytesIO((swept[0] / "rate_distortion.png").read_bytes())).size == (1050, 750)


def test_a_second_call_makes_only_what_is_missing(swept, tmp_path, monkeypatch, capsys):
    shutil.copytree(swept[0], tmp_path, dirs_exist_ok=True)
    before, trained = times(tmp_path), []
    monkeypatch.setattr(MODULE, "train", lambda *args, **kwargs: trained.append(train(*args, **kwargs)))
    (tmp_path / "rate_distortion.png").unlink()
    (tmp_path / "sweep.json").unlink()
    assert run(tmp_path, "5", "0.01", verbose=True) == swept[1][::-1]
    assert trained == [False, False] and times(tmp_path) == before
    assert (tmp_path / "rate_distortion.png").exists() and (tmp_path / "sweep.json").exists()
    said = capsys.readouterr().err
    assert f"run 1 of 2: {FIELD} = 5\n" in said and f"run 2 of 2: {FIELD} = 0.01\n" in said
    (tmp_path / f"{FIELD}_5" / "evaluation.json").unlink()
    assert run(tmp_path, "5") == swept[1][1:]
    assert trained == [False] * 3


def test_what_was_done_is_kept_when_it_is_interrupted(swept, tmp_path, monkeypatch):
    shutil.copytree(swept[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "sweep.json").unlink()
    shutil.rmtree(tmp_path / f"{FIELD}_5")

    def interrupted(of_run, *args, **kwargs):
        if of_run.objective.kl_weight == 5:
            raise KeyboardInterrupt
        return train(of_run, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MODULE, "train", interrupted)
        run(tmp_path, "0.01", "5")
    assert json.loads((tmp_path / "sweep.json").read_text())["rows"] == swept[1][:1]


def test_another_config_in_the_same_folder_is_refused(swept):
    before = times(swept[0])
    other = config()
    other.model.latent_size = 3
    with pytest.raises(InputError, match=r"--workdir: .*differs in model.latent_size: 3, there 2"):
        sweep(other, str(swept[0]), field=FIELD, values=("5",), verbose=False)
    assert times(swept[0]) == before


def test_a_run_of_a_sweep_has_a_report(swept, tmp_path):
    shutil.copytree(swept[0] / f"{FIELD}_5", tmp_path, dirs_exist_ok=True)
    place = WorkDir(str(tmp_path))
    vae, of_run, step = place.load_model()
    write_report(place, vae, of_run, step=step)
    root = read((tmp_path / "report.html").read_text())
    assert root.all("h1")[0].text() == "small_kl_weight_5"
    charts = [figure.all("figcaption")[0].text() for figure in root.all("figure") if figure.all("polyline")]
    assert charts == ["ELBO, nats", "Rate, nats", "Distortion, nats"]
    # Both splits in each chart, one point for each epoch.
    points = [len(line.attributes["points"].split()) for line in root.all("polyline")]
    assert points == [2] * 6


# Fields and values ------------------------------------------------------------------


def test_values_take_the_kind_of_the_field():
    made = variants(config(), "model.latent_size", ["2", "8"])
    assert [(v.value, v.name, v.config.model.latent_size) for v in made] == [
        (2, "model.latent_size_2", 2), (8, "model.latent_size_8", 8),
    ]  # fmt: skip
    assert [v.config.name for v in made] == ["small_latent_size_2", "small_latent_size_8"]
    made = variants(config(), FIELD, ["1e-05", "3", "0.10"])
    assert [v.name for v in made] == [f"{FIELD}_1e-05", f"{FIELD}_3", f"{FIELD}_0.1"]
    assert [v.config.objective.kl_weight for v in made] == [1e-05, 3.0, 0.1]
    assert [type(v.config.objective.kl_weight) for v in made] == [float] * 3


@pytest.mark.parametrize(
    ("field", "values", "says"),
    [
        ("objective.kl_wieght", ["1"], r"--field: received 'objective.kl_wieght' .*did you mean kl_weight\?"),
        ("objektive.kl_weight", ["1"], r"--field: .*'objektive', did you mean objective\?"),
        ("training.zzz", ["1"], "--field: .*unknown field 'zzz', expected one of: batch_size, "),
        ("objective.kl_weight.deeper", ["1"], "--field: .*unknown field 'deeper', expected one of: none"),
        ("objective.type", ["1"], "--field: .*unknown field 'type'"),
        ("", ["1"], "--field: received ''"),
        ("data.source", ["1"], "--field: received 'data.source', which holds 'digits', expected .* one number"),
        ("data.download", ["1"], "--field: received 'data.download', which holds True"),
        ("model.network.hidden", ["1"], r"--field: received 'model.network.hidden', which holds \[16\]"),
        ("model.posterior", ["1"], "--field: received 'model.posterior', which holds other fields"),
        (FIELD, [], "--values: received none, expected numbers"),
        (FIELD, ["1", ""], "--values: received '', expected a number"),
        (FIELD, ["1", "ten"], "--values: received 'ten', expected a number"),
        (FIELD, ["1", "3", "1.0"], "--values: received 1 twice, expected different numbers"),
        (FIELD, ["1", "-1"], "objective.kl_weight: received -1.0, expected a number at least 0"),
        (FIELD, ["nan"], "objective.kl_weight: received nan, expected a number"),
        (FIELD, ["1", "inf"], "objective.kl_weight: received inf, expected a finite number"),
        ("model.latent_size", ["2", "0"], "model.latent_size: received 0, expected a number at least 1"),
        ("model.latent_size", ["2.5"], "model.latent_size: received 2.5, expected int"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_anything_is_made(field, values, says, tmp_path):
    with pytest.raises(InputError, match=f"^{says}") as error:
        sweep(config(), str(tmp_path / "new"), field=field, values=values, verbose=False)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"^--workdir: received '{tmp_path}/file', "):
        run(tmp_path / "file", "1")


def test_the_table_is_for_a_person():
    rows = [
        {"value": 0.1, "elbo": -29.154, "rate": 16.0, "distortion": 13.154, "log_likelihood": -26.5,
         "log_likelihood_standard_error": 0.256},
        {"value": 10.0, "elbo": -27.0, "rate": 0.0, "distortion": 27.0, "log_likelihood": -27.0,
         "log_likelihood_standard_error": None},
    ]  # fmt: skip
    assert table("kl", rows).splitlines() == [
        " kl    ELBO   rate  distortion  log p(x)    +-",
        "0.1  -29.15  16.00       13.15    -26.50  0.26",
        " 10  -27.00   0.00       27.00    -27.00     -",
    ]
