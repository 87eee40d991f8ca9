"""The numbers that every run has: the ELBO and its parts, and log p(x) by each estimator that was run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfvae.report import values
from tfvae.report.markup import Markup, element, join
from tfvae.report.numbers import MINUS, NONE, number, title

# name -> (title, unit, meaning)
_CARDS = {
    "elbo": ("ELBO", "nats", f"{MINUS}(rate + distortion), at most log p(x)"),
    "log_likelihood": ("log p(x)", "nats", "estimated from below; higher is better"),
    "rate": ("Rate", "nats", "KL of the posterior from the prior: what the code costs"),
    "distortion": ("Distortion", "nats", "what the reconstruction costs"),
    "bits_per_dim": ("Bits per dimension", "bits", f"{MINUS}log2 p(x) for each number of x"),
}
# Of the result of an estimator: what has a column or a place of its own.
_OWN_PLACE = {
    "estimator", "split", "num_examples", "log_likelihood", "lower_bound", "upper_bound", "gap", "simulated",
    "settings", "method", "warnings", "units", "step", *_CARDS,
}  # fmt: skip
NOT_MEASURES = ("settings",)  # of an evaluation, though it is nested
STANDARD_ERROR = (
    "What stands after ± is the standard error of an average: the standard deviation over examples divided by the "
    "square root of their number, unless its own method says otherwise. With other examples of the same kind the "
    "average would move by about as much. It says nothing of how another training run would differ, nor of how far a "
    "bound lies from what it bounds. A Monte Carlo error is that of the average over these very examples, which more "
    "draws would lower; the standard error contains it."
)


def cards(evaluation: Mapping[str, Any]) -> Markup:
    """The figures of an evaluation, large; those that it does not name are left out."""
    return element("dl", *(_card(name, evaluation) for name in _CARDS if name in evaluation), class_="cards")


def _card(name: str, evaluation: Mapping[str, Any]) -> Markup:
    heading, unit, meaning = _CARDS[name]
    shown, _, error = number(evaluation[name], evaluation.get(name + values.ERROR)).partition(" ± ")
    after = [element("span", f" ± {error}", class_="error")] if error else []
    after += [element("span", f" {unit}", class_="unit")] if shown != NONE else []
    value = element("dd", shown, *after, class_="value")
    return element("div", element("dt", heading), value, element("dd", meaning, class_="meaning"), class_="card")


def lists(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of an evaluation, which neither a card nor the table of estimators shows."""
    return {key: value for key, value in evaluation.items() if isinstance(value, list) and key not in _OWN_PLACE}


def others(evaluation: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The results that are not the evaluation itself, which may lie beside them too."""
    return [result for result in results if _identity(result) != _identity(evaluation)]


def estimators(evaluation: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Markup:
    """log p(x) by each estimator, one a row; their warnings, and what else they found, below."""
    heads = ("Estimator", "Split", "Examples", "log p(x), nats", "Lower bound", "Upper bound", "Gap")
    results = [*([evaluation] if "log_likelihood" in evaluation else []), *others]
    bounds = any(key in result for result in results for key in ("lower_bound", "upper_bound", "gap"))
    shown = heads if bounds else heads[:4]
    columns = [element("th", text, scope="col", class_=None if text in heads[:3] else "number") for text in shown]
    head = element("thead", element("tr", *columns))
    rows = []
    for result in results:
        # On a line of their own, as they are long and a page may be narrow.
        more = element("td", values.labelled(_details(result)), colspan=len(shown), class_="muted note")
        rows += [element("tr", *list(_cells(result))[: len(shown)], class_="above"), element("tr", more)]
    return join(
        element("div", element("table", head, *rows, class_="wide"), class_="scroll"),
        values.warnings([text for result in results for text in _named(result)]),
        *(values.measure(name_of(result), extra) for result in others if (extra := _nested(result))),
    )


def _identity(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells two results apart."""
    return tuple(result.get(key) for key in ("estimator", "split", "log_likelihood"))


def name_of(result: Mapping[str, Any]) -> str:
    """The name of an estimator."""
    return title(str(result.get("estimator") or "importance"))


def _cells(result: Mapping[str, Any]) -> Iterator[Markup]:
    badge = element("span", "simulated data", class_="badge") if result.get("simulated") else None
    yield element("th", name_of(result), " " if badge else None, badge, scope="row")
    yield element("td", number(result.get("split")))
    yield element("td", number(result.get("num_examples")))
    for key in ("log_likelihood", "lower_bound", "upper_bound", "gap"):
        yield element("td", number(result.get(key), result.get(key + values.ERROR)), class_="number")


def _details(result: Mapping[str, Any]) -> dict[str, Any]:
    """How an estimator was set, and what it says of itself besides its columns."""
    found = {**result.get("settings", {}), **{key: v for key, v in result.items() if key not in _OWN_PLACE}}
    own_errors = {key + values.ERROR for key in _OWN_PLACE}
    kept = {key: v for key, v in found.items() if v is not None and not isinstance(v, Mapping | list | tuple)}
    return {key: value for key, value in kept.items() if key not in own_errors}


def _nested(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: v for key, v in result.items() if key not in _OWN_PLACE and isinstance(v, Mapping | list | tuple)}


def _named(result: Mapping[str, Any]) -> list[str]:
    """The warnings of an estimator with its name."""
    texts = result.get("warnings") or []
    return [f"{name_of(result)}: {text}" for text in (texts if isinstance(texts, list) else [texts])]
