import base64
import re

import pytest

from tests.report.common import read, rows
from tfvae.report import Content, Curve, Picture, page

EVALUATION = {
    "split": "test", "num_examples": 297, "elbo": -22.8895, "rate": 4.196, "distortion": 18.6935,
    "log_likelihood": -22.55886, "log_likelihood_standard_error": 0.21568,
    "log_likelihood_monte_carlo_error": 0.0031, "num_samples": 500, "bits_per_dim": 0.50852, "units": "nats",
    "estimator": "importance", "settings": {"num_samples": 500}, "seed": 0, "warnings": [], "step": 5076,
}  # fmt: skip
BDMC = {
    "estimator": "bdmc", "split": "test", "num_examples": 50, "log_likelihood": -22.175, "lower_bound": -22.3,
    "lower_bound_standard_error": 0.31, "upper_bound": -22.05, "upper_bound_standard_error": 0.33, "gap": 0.25,
    "simulated": True, "settings": {"num_chains": 16, "start": "prior"}, "method": "Forwards and backwards.",
    "warnings": ["12 of 50 chains hardly move."],
}  # fmt: skip


def shown(**content):
    return read(page(Content(title="digits", **content)))


def section(root, name):
    return next(s for s in root.all("section") if s.all("h2") and s.all("h2")[0].text() == name)


def measure(values, name="some_measure"):
    """How a page shows a measure that nobody has told it of."""
    root = shown(evaluation=EVALUATION | {name: values})
    return section(root, "Measures").all("article")[0]


# The whole page -------------------------------------------------------------------


HOSTILE = "<script>alert(1)</script>\"'&<b>"


def hostile(value):
    """A JSON value with every text and every name replaced."""
    if isinstance(value, dict):
        return {key if key in KEPT else f"{key}{HOSTILE}": hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


KEPT = {"method", "skipped", "warnings", "settings", "estimator", "split", "units", "elbo", "num_examples"}


def test_no_text_becomes_markup():
    nested = {"a": 1.0, "b": [1, 2], "c": [[1, 2], [3, 4]], "d": ["x"], "e": {"f": "g", "method": "h"}, "i": [{"j": 1}]}
    content = Content(
        title=HOSTILE,
        facts={HOSTILE: HOSTILE},
        evaluation=hostile(EVALUATION | {"found": nested, "other": {"skipped": "x", "warnings": ["y"]}, "list": ["z"]}),
        estimators=[hostile(BDMC | {"more": nested})],
        curves=[Curve(HOSTILE, {HOSTILE: [(1, 2.0), (2, 3.0)]})],
        step=1,
        pictures=[Picture(name=HOSTILE, caption=HOSTILE, png=b"png")],
        config={HOSTILE: HOSTILE},
        notes=[HOSTILE],
    )
    text = page(content)
    root = read(text)
    assert "<script" not in text and not root.all("script") and not root.all("b", class_=None, id="x")
    for node in root.all():
        assert not [name for name in node.attributes if name.startswith("on")]
    assert root.text().count("alert(1)") > 20  # it is there, as text
    assert root.all("title")[0].text().startswith(HOSTILE) and root.all("h1")[0].text() == HOSTILE
    assert root.all("img")[0].attributes["alt"] == HOSTILE


def test_a_name_that_is_no_utf8_can_be_written():
    page(Content(title="a\udc80b")).encode()


def test_nothing_is_fetched_or_run():
    picture = Picture(name="samples", caption="Draws.", png=b"\x89PNG")
    text = page(
        Content(title="t", evaluation=EVALUATION, pictures=[picture], curves=[Curve("elbo", {"a": [(1, 1.0)]})])
    )
    root = read(text)
    assert not re.search(r"https?://|//[a-z]|@import|url\(|javascript:", text)
    assert not [node.name for node in root.all() if node.name in ("script", "link", "iframe", "object", "base")]
    for node in root.all():
        for name in ("src", "href"):
            assert node.attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    policy = root.all("meta", http_equiv=None)
    policy = [m.attributes["content"] for m in root.all("meta") if m.attributes.get("http-equiv")]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert "prefers-color-scheme: dark" in text and "@media print" in text


def test_a_page_of_nothing_says_so():
    root = shown()
    assert root.all("h1")[0].text() == "digits"
    assert [h.text() for h in root.all("h2")] == ["Numbers"]
    assert "Not evaluated yet." in root.text()


def test_sections_are_linked():
    root = shown(
        facts={"Seed": "0"}, evaluation=EVALUATION | {"m": {"a": 1}}, curves=[Curve("elbo", {"a": [(1, 1.0)]})]
    )
    ids = {node.attributes["id"] for node in root.all("section") if "id" in node.attributes}
    assert {link.attributes["href"].removeprefix("#") for link in root.all("a")} == ids
    assert len(ids) == 5


def test_facts_notes_and_the_config():
    root = shown(facts={"Latent size": 8, "Prior": "standard_normal"}, notes=["Of another step."], config={"seed": 3})
    facts = section(root, "Model")
    assert [node.text() for node in facts.all() if node.name in ("dt", "dd")] == [
        "Latent size", "8", "Prior", "standard_normal",
    ]  # fmt: skip
    assert '"seed": 3' in facts.all("pre")[0].text()
    assert root.all("ul", class_="warnings")[0].text() == "Warning. Of another step."


def test_pictures_are_inside_with_alternative_text():
    pictures = [
        Picture(name="samples", caption="Draws.", png=b"one"),
        Picture(name="my_own", caption="Mine.", png=b"2"),
    ]
    images = section(shown(pictures=pictures), "Pictures").all("figure")
    for figure, picture in zip(images, pictures, strict=True):
        image = figure.all("img")[0].attributes
        assert image["src"] == "data:image/png;base64," + base64.b64encode(picture.png).decode()
        assert image["alt"] == picture.caption
    assert [f.all("figcaption")[0].text() for f in images] == ["Samples. Draws.", "My own. Mine."]


def test_curves_have_a_key_and_charts():
    curves = [Curve("elbo", {"train": [(1, -3.0), (9, -2.0)], "validation": [(1, -4.0), (9, -1.0)]}),
              Curve("rate", {"validation": [(1, 1.0), (9, 2.0)]})]  # fmt: skip
    training = section(shown(curves=curves, step=9), "Training")
    assert [f.all("figcaption")[0].text() for f in training.all("figure")] == ["ELBO, nats", "Rate, nats"]
    keys = {span.text().removeprefix("— "): span.attributes["class"][-1] for span in training.all("span")}
    assert keys == {"train": "0", "validation": "1"}
    for figure, curve in zip(training.all("figure"), curves, strict=True):
        drawn = [line.attributes["class"][-1] for line in figure.all("polyline")]
        assert drawn == [keys[name] for name in curve.lines]  # a line has the colour of its key in each chart
        assert len(figure.all("line", class_="mark")) == 1


# Numbers ----------------------------------------------------------------------------


def test_the_figures_of_an_evaluation():
    cards = section(shown(evaluation=EVALUATION), "Numbers").all("div", class_="card")
    found = {card.all("dt")[0].text(): card.all("dd", class_="value")[0].text() for card in cards}
    assert found == {
        "ELBO": "-22.89 nats", "log p(x)": "-22.56 ± 0.22 nats", "Rate": "4.196 nats", "Distortion": "18.69 nats",
        "Bits per dimension": "0.5085 bits",
    }  # fmt: skip
    assert "297 examples of the test split" in section(shown(evaluation=EVALUATION), "Numbers").text()


def test_what_is_not_known_is_a_dash_without_a_unit():
    changed = EVALUATION | {"bits_per_dim": None, "log_likelihood_standard_error": None}
    cards = section(shown(evaluation=changed), "Numbers").all("dd", class_="value")
    assert [card.text() for card in cards][-1] == "none" and cards[1].text() == "-22.56 nats"


def test_estimators_stand_beside_the_evaluation():
    numbers = section(shown(evaluation=EVALUATION, estimators=[BDMC]), "Numbers")
    assert rows(numbers) == [
        ["Estimator", "Split", "Examples", "log p(x), nats", "Lower bound", "Upper bound", "Gap"],
        ["Importance", "test", "297", "-22.56 ± 0.22", "none", "none", "none"],
        ["samples 500, log likelihood Monte Carlo error 0.003100, seed 0"],
        ["BDMC simulated data", "test", "50", "-22.18", "-22.30 ± 0.31", "-22.05 ± 0.33", "0.2500"],
        ["chains 16, start prior"],
    ]
    assert numbers.all("ul", class_="warnings")[0].text() == "Warning. BDMC: 12 of 50 chains hardly move."
    # Without bounds there are no columns of dashes, and the same result twice is shown once.
    alone = rows(section(shown(evaluation=EVALUATION, estimators=[EVALUATION]), "Numbers"))
    assert [len(row) for row in alone] == [4, 4, 1]
    assert len(made(evaluation=EVALUATION | {"method": "M."}, estimators=[EVALUATION | {"method": "M."}])) == 3


def test_settings_are_no_measure():
    assert not [h for h in shown(evaluation=EVALUATION).all("h2") if h.text() == "Measures"]


# Measures ---------------------------------------------------------------------------


def test_scalars_are_a_table_with_their_errors():
    found = measure({"value": 1.2345, "value_standard_error": 0.012, "kind": "a", "none": None, "big": 12,
                     "lone_standard_error": 0.5})  # fmt: skip
    assert found.all("h3")[0].text() == "Some measure"
    assert rows(found) == [["Value", "1.234 ± 0.012"], ["Kind", "a"], ["None", "none"], ["Big", "12"],
                           ["Lone standard error", "0.5000"]]  # fmt: skip


def test_nested_results_are_tables_of_their_own_at_any_depth():
    found = measure({"probe": {"accuracy": 0.9, "deep": {"deeper": {"x": 7}}, "method": "By trees."}})
    assert [h.text() for h in found.all("h4")] == ["Probe", "Deep", "Deeper"]
    assert rows(found) == [["Accuracy", "0.9000"], ["X", "7"]]
    assert found.all("p", class_="method")[0].text() == "How this was made. By trees."


def test_lists_are_charts_matrices_records_or_text():
    found = measure({"bars": [1.0, 2.0, None], "bars_standard_error": [0.1, 0.1, 0.1], "square": [[1, 2], [3, 4]],
                     "records": [{"a": 1}, {"a": 2}], "words": ["x", "y"], "ragged": [[1], [2, 3]],
                     "empty": []})  # fmt: skip
    assert len(found.all("rect")) == 3
    assert [f.text() for f in found.all("figcaption")] == ["Bars", "Square"]
    assert rows(found.all("table", class_="matrix")[0])[1:] == [["0", "1", "2"], ["1", "3", "4"]]
    assert [t for t in rows(found) if t[0] == "A"] == [["A", "1"], ["A", "2"]]
    text = found.text()
    assert "Words: x, y" in text and "Ragged: [1], [2, 3]" in text and "Empty: none" in text


def test_active_units_are_marked():
    values = {"kl_per_dimension": [1.0, 0.2, 0.0], "posterior_mean_variance": [0.9, 0.011, 0.01]}
    kl, variance = measure(values).all("figure")
    assert [bar.attributes["class"] for bar in kl.all("rect")] == ["bar", "bar", "bar quiet"]
    assert kl.all("figcaption")[0].text().startswith("KL per dimension: 2 of 3 units are active")
    assert {bar.attributes["class"] for bar in variance.all("rect")} == {"bar"}
    # Without the variances nothing is known of it.
    unknown = measure({"kl_per_dimension": [1.0, 0.2, 0.0]}).all("figure")[0]
    assert {bar.attributes["class"] for bar in unknown.all("rect")} == {"bar"}


def test_what_was_skipped_says_why_and_warnings_show():
    assert measure({"skipped": "no labels"}).all("p")[0].text() == "Skipped: no labels"
    found = measure({"a": 1, "warnings": ["Too few.", "Too many."]})
    assert [item.text() for item in found.all("li")] == ["Warning. Too few.", "Warning. Too many."]


@pytest.mark.parametrize("values", [{}, {"a": {}}, {"a": [[]]}, {"a": [{}]}, {"warnings": 3, "method": ["x"]}])
def test_odd_results_are_shown_too(values):
    assert measure(values).all("h3")


# How the numbers were made ------------------------------------------------------------


def made(**content):
    found = section(shown(**content), "How the numbers were made")
    terms, texts = found.all("dt"), found.all("dd")
    return {term.text(): text.text() for term, text in zip(terms, texts, strict=True)}


def test_each_number_says_how_it_was_made():
    measures = {"probe": {"method": "By trees.", "inner": {"method": "By roots."}}, "other": {"skipped": "no labels"}}
    found = made(evaluation=EVALUATION | measures, estimators=[BDMC], curves=[Curve("elbo", {"a": [(1, 1.0)]})])
    assert "K = 500" in found.pop("ELBO, rate, distortion and log p(x)")
    assert "square root of their number" in found.pop("Standard errors")
    assert "each epoch" in found.pop("Training curves") and "ln 2" in found.pop("Bits per dimension")
    assert found == {"log p(x), BDMC": "Forwards and backwards.", "Probe": "By trees.", "Probe, inner": "By roots.",
                     "Other": "Skipped: no labels"}  # fmt: skip


def test_an_evaluation_may_tell_its_own_method():
    assert made(evaluation=EVALUATION | {"method": "In its own way."})["ELBO, rate, distortion and log p(x)"] == (
        "In its own way."
    )
    assert "Bits per dimension" not in made(evaluation=EVALUATION | {"bits_per_dim": None})
