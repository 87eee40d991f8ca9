"""Every study in miniature: it runs, its rows have their numbers, and its report says them."""

import json
import math
import os

import pytest

from tfvae.studies import Study, reproduce
from tfvae.studies.run import study_of

# Smaller than quick: what each needs to run in seconds.
MINIATURE = {
    "iwae_table": {"num_epochs": {"1": 1, "5": 1}, "num_samples": 5, "hidden": (8,), "latent_size": 2},
    "aevb_lower_bound": {"latent_sizes": {"digits": (2,)}, "hidden": {"digits": 8}, "num_samples": {"digits": 3_000},
                         "num_points": 3, "max_examples": 50},
    "aevb_marginal_likelihood": {"data": "digits", "hidden": 8, "latent_size": 2, "train_sizes": (500,),
                                 "num_samples": 2_000, "mcem_num_samples": 2_000, "num_points": 2, "num_examples": 20,
                                 "num_final": 5, "step_sizes": (0.02,)},
    "autoencoders": {"num_epochs": 1, "num_samples": 5, "hidden": (8,), "latent_size": 2, "num_codes": 200},
    "density_models": {"num_epochs": {"digits": {"vae": 1, "pixel_rnn": 1}}, "num_samples": 5,
                       "hidden": {"digits": 8}, "filters": 4},
    "double_kl": {"hidden": 8, "latent_size": 2, "num_epochs": 1, "num_samples": 5},
    "estimators": {"hidden": 8, "latent_size": 2, "num_samples": (1,), "batch_sizes": (100,), "warm_up_steps": 20,
                   "num_gradients": 10, "target": -60.0, "seconds_limit": 2.0},
    "kl_schedules": {"num_epochs": 1, "num_samples": 5, "hidden": (8,), "latent_size": 2},
    "latent_size": {"num_epochs": 1, "num_samples": 5, "hidden": (8,), "sizes": (2,)},
    "manifolds": {"hidden": {"digits": 8}, "num_epochs": {"digits": 1}, "num_samples": 5},
    "posterior_families": {"num_epochs": 1, "num_samples": 5, "hidden": (8,), "latent_size": 2},
    "priors": {"num_epochs": 1, "num_samples": 5, "hidden": (8,), "latent_size": 2},
    "samples_by_latent_size": {"latent_sizes": {"digits": (2,)}, "hidden": {"digits": 8}, "num_epochs": {"digits": 1},
                               "num_samples": 5},
}  # fmt: skip
# Of studies with many cells of one kind, those that are run here.
SOME = {
    "kl_schedules": ["constant_weight_0"],
    "posterior_families": ["diagonal_0", "full_covariance_0"],
    "priors": ["standard_normal_0", "mixture_of_50_0"],
    "double_kl": ["tfp_0", "tfvae_0"],
}


def test_every_study_is_tried():
    assert MINIATURE.keys() == Study.registry.keys()


@pytest.mark.parametrize("name", sorted(Study.registry))
def test_in_miniature(name, tmp_path, monkeypatch):
    cls = type(study_of(name, "quick"))
    study = cls(**(dict(cls.budgets["quick"]) | MINIATURE[name]))
    places = {"results_dir": str(tmp_path / "results"), "runs_dir": str(tmp_path / "runs"), "verbose": False}
    folder = reproduce(study, budget="quick", cells=SOME.get(name, ()), **places)
    with open(os.path.join(folder, "result.json"), encoding="utf-8") as file:
        result = json.load(file)
    assert len(result["rows"]) == len(SOME.get(name, study.cells))
    for row in result["rows"]:
        bad = [key for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
        assert not bad and row["machine"]["cores"] >= 1
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        text = file.read()
    assert text.startswith(f"# {study.title}\n") and "nan" not in text and result["headline"] in text
    for picture in os.listdir(folder):
        if picture.endswith(".png"):
            assert f"]({picture})" in text
            with open(os.path.join(folder, picture), "rb") as file:
                assert file.read(4) == b"\x89PNG"
    assert result["thumbnail"] in os.listdir(folder)


def test_the_rows_of_the_iwae_table_have_their_fields(tmp_path):
    cls = type(study_of("iwae_table", "quick"))
    study = cls(**(dict(cls.budgets["quick"]) | MINIATURE["iwae_table"]))
    row = study.run(study.cells[0], str(tmp_path), verbose=False)
    assert (row["objective"], row["k"], row["num_test"], row["num_samples"], row["num_epochs"]) == ("vae", 1, 297, 5, 1)
    assert row["nll"] > 0 and row["published_nll"] is None


def test_tfps_regularizer_counts_the_kl_twice_and_half_of_it_once(tmp_path):
    cls = type(study_of("double_kl", "quick"))
    study = cls(**(dict(cls.budgets["quick"]) | MINIATURE["double_kl"]))
    rows = {cell.name: study.run(cell, str(tmp_path), verbose=False) for cell in study.cells[:2]}
    assert rows["tfp_0"]["num_losses"] == 2
    assert rows["tfp_0"]["regularizer_over_kl"] == pytest.approx(2.0, rel=1e-4)
    assert rows["tfp_half_0"]["regularizer_over_kl"] == pytest.approx(1.0, rel=1e-4)
