import dataclasses
import importlib.util
import json
import os
import pathlib

import pytest
from absl import flags

from tests.helpers import digits_config
from tfvae import evaluation
from tfvae.errors import InputError
from tfvae.evaluation import Estimator, measures
from tfvae.training import WorkDir, evaluate_run, make_estimator, outputs, train_and_evaluate

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "evaluate.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A work directory and what its training said."""
    path = tmp_path_factory.mktemp("run")
    config = digits_config(num_epochs=1, pictures_every=0)
    result = train_and_evaluate(config, str(path / "run"), export_dir=str(path / "export"), verbose=False)
    return WorkDir(str(path / "run")), result


def test_training_ends_with_the_cheap_measure_and_a_report(run):
    place, result = run
    assert set(result.evaluation) & set(measures.MEASURES) == {"decomposition"}
    assert "total correlation" in pathlib.Path(place.file("report.html")).read_text().lower().replace("_", " ")


def test_all_measures_are_made_and_stay(run):
    place, before = run
    found = evaluate_run(place)
    assert set(measures.MEASURES) <= set(found)
    assert all(found[name]["method"] for name in measures.MEASURES if "skipped" not in found[name])
    assert [name for name in measures.MEASURES if "skipped" in found[name]] == ["disentanglement"]
    assert found["decomposition"] == before.evaluation["decomposition"]
    # Numbers that JSON has.
    text = pathlib.Path(place.evaluation_file).read_text()
    assert json.loads(text, parse_constant=pytest.fail) == found
    again = evaluate_run(place, measures="none")
    assert again == found
    assert "sample_quality" not in evaluate_run(place, split="validation", measures="none")
    evaluate_run(place, measures="decomposition")


def test_the_decomposition_is_of_the_elbo(run):
    found = run[1].evaluation
    parts = found["decomposition"]
    assert parts["mutual_information"] + parts["marginal_kl"] == pytest.approx(parts["rate"], rel=1e-6)
    assert parts["rate"] == pytest.approx(found["rate"], abs=5 * parts["rate_standard_error"])


@pytest.mark.slow
def test_an_interrupted_evaluation_is_gone_on_with(run, monkeypatch):
    place, told = run[0], []
    whole = evaluate_run(place, estimator="ais", settings={"num_chains": 2, "num_temperatures": 3})
    evaluated = pathlib.Path(place.evaluations, "test_ais.json")
    evaluated.unlink()
    estimate = outputs.estimate

    def interrupted(*args, progress, **kwargs):
        def stop(done, total):
            told.append(done)
            progress(done, total)
            if len(told) == 3:
                raise KeyboardInterrupt

        return estimate(*args, progress=stop, **kwargs)

    monkeypatch.setattr(outputs, "estimate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(place, estimator="ais", settings={"num_chains": 2, "num_temperatures": 3})
    assert not evaluated.exists() and os.path.exists(os.path.join(place.evaluations, ".test_ais.partial.npz"))
    again = evaluate_run(place, estimator="ais", settings={"num_chains": 2, "num_temperatures": 3})
    assert told == [0, 50, 100, 100, 150, 200, 250, 297]
    assert again == whole and json.loads(evaluated.read_text()) == whole
    assert not os.path.exists(os.path.join(place.evaluations, ".test_ais.partial.npz"))


def test_an_interruption_in_a_measure_loses_that_measure_alone(run, monkeypatch):
    place, _ = run
    told = []
    estimate, measure = outputs.estimate, outputs.measure

    def watched(*args, progress, **kwargs):
        return estimate(*args, progress=lambda done, total: told.append(done), **kwargs)

    def second_stops(names, *args, **kwargs):
        if names == ["representation"]:
            raise KeyboardInterrupt
        return measure(names, *args, **kwargs)

    monkeypatch.setattr(outputs, "estimate", watched)
    monkeypatch.setattr(outputs, "measure", second_stops)
    settings = {"settings": {"num_samples": 3}, "measures": "decomposition,representation"}
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(place, **settings)
    kept = json.loads(pathlib.Path(place.evaluation_file).read_text())
    assert kept["num_samples"] == 3 and "decomposition" in kept
    monkeypatch.setattr(outputs, "measure", measure)
    told.clear()
    again = evaluate_run(place, **settings)
    assert told == [297], "nothing of the estimate was made again"
    assert again["representation"]["num_test"] > 0
    assert not list(pathlib.Path(place.evaluations).glob(".*partial*"))


@pytest.mark.slow
def test_simulated_examples_are_at_most_those_of_the_split(run):
    few = {"num_chains": 1, "num_temperatures": 2, "num_samples": 3, "num_leapfrog_steps": 1}
    found = evaluate_run(run[0], split="validation", estimator="bdmc", settings=few | {"max_examples": 60})
    assert found["num_examples"] == 60 and {"lower_bound", "upper_bound", "gap", "importance", "ais"} <= set(found)
    assert os.path.exists(os.path.join(run[0].evaluations, "validation_bdmc.json"))


def test_estimators_of_flags():
    config = digits_config()
    assert make_estimator("importance", {}, config) == evaluation.Importance(num_samples=config.evaluation.num_samples)
    assert make_estimator("importance", {"num_samples": 7}, config).num_samples == 7
    assert make_estimator("ais", {"start": "posterior"}, config).start == "posterior"
    with pytest.raises(InputError, match=r"^--estimator: unknown estimator 'x', expected one of: ais, bdmc"):
        make_estimator("x", {}, config)
    with pytest.raises(InputError, match=r"^--mass: received 0.5, but ais has no such setting, expected some of: "):
        make_estimator("ais", {"mass": 0.5}, config)
    with pytest.raises(InputError, match=r"^--num_samples: received 0, expected a number at least 1"):
        make_estimator("importance", {"num_samples": 0}, config)


def test_every_setting_of_an_estimator_is_a_flag():
    spec = importlib.util.spec_from_file_location("evaluate_tool", TOOL)
    tool = importlib.util.module_from_spec(spec)
    before = set(flags.FLAGS)
    try:
        spec.loader.exec_module(tool)
        settings = {field.name for cls in Estimator.registry.values() for field in dataclasses.fields(cls)}
        assert settings == set(tool.SETTINGS) <= set(flags.FLAGS)
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)


@pytest.mark.parametrize("names", ["fid", "decomposition,", "decomposition,all"])
def test_unknown_measures_are_refused(run, names):
    with pytest.raises(InputError, match=r"^--measures: received '.*', expected some of: decomposition, inference_gap"):
        evaluate_run(run[0], measures=names)
