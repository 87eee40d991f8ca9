"""Every study in miniature: it runs, its rows have their numbers, and its report says them."""

import itertools
import json
import os

import pytest

from tfvae.studies import Study, reproduce
from tfvae.studies.double_kl import VARIANTS, DoubleKl
from tfvae.studies.run import study_of

# Smaller than quick: what each needs to run in seconds.
MINIATURE = {
    "iwae_table": {"num_epochs": {"1": (1,), "5": (1,)}, "num_samples": 5, "hidden": (8,), "latent_size": 2},
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
    "kl_schedules": {"num_epochs": 1, "num_samples": 5, "latent_size": 2},
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


# JSON has no number that is not finite: files hold null for it, which is right in these alone.
MAY_BE_MISSING = {"published_nll", "rate", "seconds_to_target", "samples_to_target"}


def missing_in(value, name=""):
    """The names of what is null, at any depth but in the config."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() if key != "config" for found in missing_in(inner, key)]
    if isinstance(value, list):
        return [found for inner in value for found in missing_in(inner, name)]
    return [name] if value is None else []


def place_of(tmp_path, cell):
    return str(next((tmp_path / "runs").glob(f"*/quick/{cell}-????????"), tmp_path))


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
    assert result["num_runs"] == len(SOME.get(name, study.cells))
    for row in result["rows"]:
        assert not set(missing_in(row)) - MAY_BE_MISSING and row["machine"]["cores"] >= 1 and row["config"]
    # A report is written after each run: of each run alone it says what it can.
    folders = {cell.name: place_of(tmp_path, cell.name) for cell in study.cells}
    for row in result["rows"]:
        if "same_run_as" not in row:
            assert study.report([row], folders).headline
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        text = file.read()
    assert text.startswith(f"# {study.title}\n") and "nan" not in text and result["headline"] in text
    for picture in os.listdir(folder):
        if picture.endswith(".png"):
            assert f"]({picture})" in text
            with open(os.path.join(folder, picture), "rb") as file:
                assert file.read(4) == b"\x89PNG"
    assert result["thumbnail"] in os.listdir(folder)


NUMBERS = {
    "log_likelihood": -90.0, "log_likelihood_standard_error": 0.5, "elbo": -95.0, "rate": 20.0, "distortion": 75.0,
    "num_examples": 100, "active_units": 7.0, "mutual_information": 4.0, "mutual_information_limit": 4.6,
    "marginal_kl": 16.0, "seconds": 60.0,
}  # fmt: skip


@pytest.mark.parametrize("name", ["kl_schedules", "latent_size", "posterior_families", "priors"])
def test_a_comparison_reports_whatever_part_of_it_is_run(name):
    study = study_of(name, "quick")
    rows = [
        {"variant": variant, "seed": 0, "cell": variant} | NUMBERS | {"log_likelihood": -90.0 - place}
        for place, variant in enumerate(study.variants)
    ]
    for count in range(1, len(rows) + 1):
        for some in itertools.combinations(rows, count):
            report = study.report(some, {})
            assert ("Not all variants are run" in report.headline) == (count < len(rows))
    # The words follow the numbers: the first variant has the highest log p(x) but where it is no candidate.
    assert "-9" in report.headline


def test_words_of_a_comparison_follow_its_numbers():
    study = study_of("kl_schedules", "quick")

    def report_of(active, rates):
        rows = [
            {"variant": variant, "seed": 0} | NUMBERS | {"rate": rate, "active_units": active, "log_likelihood": -rate}
            for variant, rate in zip(study.variants, rates, strict=True)
        ]
        return study.report(rows, {})

    collapsed = report_of(0.0, [11.0, 9.0, 0.05, 2.0, 3.0, 4.0, 5.0])
    assert "Here it did: hardly a latent is active." in collapsed.text
    assert "weight 0.5 pays 5.00" in collapsed.headline and "the plain ELBO's: -0.05" in collapsed.headline
    assert (
        "0 of 4 end with a log p(x) that is above" in collapsed.text
        and "independent pixels, which" not in collapsed.text
    )
    assert "So it did with independent pixels" in report_of(0.0, [0.05, 9.0, 0.05, 2.0, 3.0, 4.0, 5.0]).text
    alive = report_of(6.0, [11.0, 9.0, 5.0, 2.0, 3.0, 4.95, 1.0])
    assert (
        "6 of 8 latents stay active" in alive.text
        and "by more than 0.1 nats: linear warm-up by 3.00, cyclic" in alive.text
    )
    assert "3 of 4 end with" in alive.text  # a tie is no gain


def test_double_kl_compares_only_what_is_run(monkeypatch):
    study = study_of("double_kl", "quick")
    rows = [
        {"variant": variant, "seed": 0, "cell": variant, "frechet_distance": 3.0, "regularizer_over_kl": 2.0} | NUMBERS
        | {"elbo": -95.0 - place}
        for place, variant in enumerate(VARIANTS.values())
    ]  # fmt: skip
    monkeypatch.setattr(DoubleKl, "_picture", lambda self, rows, folders: b"png")
    for count in range(1, 5):
        for some in itertools.combinations(rows, count):
            report = study.report(some, {})
            assert ("The second count alone" in report.text) == (count == 4)
            assert ("Against half its weight" in report.headline) == (rows[0] in some and rows[1] in some)
    # TFP's (-95), half of TFP's (-96), ours (-97), a weight of 2 (-98).
    text = study.report(rows, {}).text
    assert "against itself at weight 0.5, costs -1.00 nats of ELBO" in text
    assert "`kl_weight` of 2 against 1, 1.00 and" in text and "costs another -1.00 and" in text


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
