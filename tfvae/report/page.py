"""The report of a run as one HTML file that needs no network, no script and no other file."""

import base64
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfvae.report import charts, figures, values
from tfvae.report.curves import Curve
from tfvae.report.markup import Markup, element, join
from tfvae.report.numbers import number, title, words
from tfvae.report.style import STYLE

# No script runs and nothing is fetched, whatever the page holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_BITS = (
    "-log p(x) / (D ln 2) of that estimate, D being the dimensions of x; for dequantized data as of one grey level "
    "(Theis et al. 2016, section 3.1)."
)
_CURVES = (
    "What the run logged after each epoch: averages over the training examples while they were learned from, and over "
    "the validation examples. They are other estimates than the figures above: they take the KL in closed form where "
    "one is known, and few draws of z."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the model.

    Attributes:
      name: such as `samples`.
      caption: what is seen, in a sentence; also its alternative text.
      png: the file's bytes.
    """

    name: str
    caption: str
    png: bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Content:
    """All that a page shows. Results are JSON values; log-probabilities are in nats.

    Attributes:
      title: of the page.
      facts: what the model is: label -> text or number.
      evaluation: figures, and under the name of each measure what that found.
      estimators: results of other estimators of log p(x).
      curves: of the training.
      step: of the checkpoint, marked in the curves; None: unknown.
      pictures: in their order.
      config: of the run, shown in full.
      notes: what a reader must know first.
    """

    title: str
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    evaluation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    estimators: Sequence[Mapping[str, Any]] = ()
    curves: Sequence[Curve] = ()
    step: int | None = None
    pictures: Sequence[Picture] = ()
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()


def page(content: Content) -> str:
    """The HTML of a report. All text of the content is escaped, and every measure is shown, whatever its keys."""
    sections = [(name, body) for name, body in _sections(content) if body]
    links = [element("a", name, href=f"#{_anchor(name)}") for name, _ in sections]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{content.title}: report"),
        element("style", Markup(STYLE)),
    )
    body = element(
        "body",
        element("header", element("h1", content.title), element("p", _lead(content), class_="lead")),
        element("nav", *links),
        values.warnings(list(content.notes)),
        element("main", *(
            element("section", element("h2", name), body, id=_anchor(name)) for name, body in sections
        )),
    )  # fmt: skip
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _lead(content: Content) -> str:
    step = "" if content.step is None else f", checkpoint of step {number(content.step)}"
    return f"Report of a variational autoencoder{step}"


def _sections(content: Content) -> Iterator[tuple[str, Markup | None]]:
    """Headings and what stands under them, None where there is nothing."""
    yield "Model", _model(content)
    yield "Numbers", _numbers(content)
    yield "Training", _training(content) if content.curves else None
    yield "Pictures", element("div", *map(_picture, content.pictures), class_="pictures") if content.pictures else None
    found = _measures(content)
    yield "Measures", join(*(values.measure(name, value) for name, value in found.items())) if found else None
    made = [join(element("dt", name), element("dd", text)) for name, text in _made(content)]
    yield "How the numbers were made", element("dl", *made, class_="made") if made else None


def _model(content: Content) -> Markup | None:
    rows = [join(element("dt", name), element("dd", number(value))) for name, value in content.facts.items()]
    config = json.dumps(content.config, indent=2, ensure_ascii=False)
    full = element("details", element("summary", "The whole config"), element("pre", config))
    if not rows and not content.config:
        return None
    return join(element("dl", *rows, class_="facts"), full if content.config else None)


def _numbers(content: Content) -> Markup | None:
    evaluation = content.evaluation
    if not evaluation and not content.estimators:
        return element("p", "Not evaluated yet.", class_="muted")
    lists = figures.lists(evaluation)
    return join(
        element("p", _over(evaluation), class_="muted") if evaluation else None,
        figures.cards(evaluation) if evaluation else None,
        element("h3", "log p(x) by estimator", style="margin-top: 1.5rem"),
        figures.estimators(evaluation, figures.others(evaluation, content.estimators)),
        values.details(lists) if lists else None,
    )


def _over(evaluation: Mapping[str, Any]) -> str:
    """What the figures are averages of."""
    return (
        f"Averages over {number(evaluation.get('num_examples'))} examples of the {evaluation.get('split', '')} split, "
        f"in {evaluation.get('units', 'nats')} per example."
    )


def _training(content: Content) -> Markup:
    names = list(dict.fromkeys(name for curve in content.curves for name in curve.lines))
    keys = [element("span", f"— {name} ", class_=f"key key-{index % 2}") for index, name in enumerate(names)]
    drawn = []
    for curve in content.curves:
        # All names in each chart, so that a line has the colour of its key.
        chart = charts.lines(curve.name, {name: curve.lines.get(name, ()) for name in names}, mark=content.step)
        drawn.append(element("figure", chart, element("figcaption", f"{title(curve.name)}, nats")))
    mark = " The dotted line is the checkpoint of this report." if content.step is not None else ""
    note = "Over optimizer steps; the first steps may lie outside of a chart." + mark
    return join(element("p", *keys, note, class_="muted"), element("div", *drawn, class_="charts"))


def _picture(picture: Picture) -> Markup:
    data = base64.b64encode(picture.png).decode()
    caption = element("figcaption", element("b", f"{title(picture.name)}. "), picture.caption)
    return element("figure", element("img", src=f"data:image/png;base64,{data}", alt=picture.caption), caption)


def _measures(content: Content) -> dict[str, Mapping[str, Any]]:
    found = {name: value for name, value in content.evaluation.items() if isinstance(value, Mapping)}
    return {name: value for name, value in found.items() if name not in figures.NOT_MEASURES}


def _made(content: Content) -> Iterator[tuple[str, str]]:
    """How each number was made: (name, text)."""
    evaluation = content.evaluation
    if "elbo" in evaluation:
        yield "ELBO, rate, distortion and log p(x)", str(evaluation.get("method") or _how(evaluation))
    if evaluation.get("bits_per_dim") is not None:
        yield "Bits per dimension", _BITS
    for result in figures.others(evaluation, content.estimators):
        if result.get("method"):
            yield f"log p(x), {words(figures.name_of(result))}", str(result["method"])
    for name, found in _measures(content).items():
        yield from _methods(title(name), found)
    if evaluation or content.estimators:
        yield "Standard errors", figures.STANDARD_ERROR
    if content.curves:
        yield "Training curves", _CURVES


def _how(evaluation: Mapping[str, Any]) -> str:
    samples = number(evaluation.get("num_samples"))
    return (
        f"From the same K = {samples} draws z_k of q(z|x) for each example. Rate is the mean of log q(z_k|x) - "
        "log p(z_k), distortion that of -log p(x|z_k), and ELBO = -(rate + distortion). log p(x) is the "
        "importance-weighted bound log 1/K sum_k p(x, z_k) / q(z_k|x), which is too low on average and rises to "
        "log p(x) with K (Burda et al. 2016, equation 8)."
    )


def _methods(name: str, values_found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The methods of a measure and of what is nested in it."""
    if values_found.get("method"):
        yield name, str(values_found["method"])
    elif values_found.get("skipped"):
        yield name, f"Skipped: {values_found['skipped']}"
    for key, value in values_found.items():
        if isinstance(value, Mapping):
            yield from _methods(f"{name}, {words(key)}", value)
