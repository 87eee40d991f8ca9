"""Nested results as HTML, whatever measure they come from: tables, charts and the sentence on how they were made."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfvae.report import charts
from tfvae.report.markup import Markup, element, join
from tfvae.report.numbers import is_number, number, title, words

ERROR = "_standard_error"
ACTIVE = 0.01  # variance of the posterior mean above which a latent is active (Burda et al. 2016, section 5)
_NOT_SHOWN_AS_VALUES = ("method", "skipped", "warnings")


def measure(name: str, values: Mapping[str, Any]) -> Markup:
    """A measure: its heading, all that it found, and how that was made."""
    return element("article", element("h3", title(name)), details(values), class_="measure")


def details(values: Mapping[str, Any]) -> Markup:
    """All entries of a result, at any depth: scalars as one table, then lists, then what is nested."""
    shown = {key: value for key, value in values.items() if key not in _NOT_SHOWN_AS_VALUES}
    nested = {key: value for key, value in shown.items() if isinstance(value, Mapping)}
    lists = {key: value for key, value in shown.items() if isinstance(value, list | tuple)}
    scalars = {key: value for key, value in shown.items() if key not in nested and key not in lists}
    skipped, method = values.get("skipped"), values.get("method")
    return join(
        element("p", f"Skipped: {skipped}", class_="muted") if skipped else None,
        warnings(values.get("warnings")),
        table(scalars),
        element("div", *(_list(key, value, values) for key, value in lists.items()), class_="charts")
        if lists else None,
        element("div", *(_nested(key, value) for key, value in nested.items()), class_="nested") if nested else None,
        element("p", element("b", "How this was made. "), str(method), class_="method") if method else None,
    )  # fmt: skip


def table(values: Mapping[str, Any]) -> Markup | None:
    """Scalars with their standard errors, one a row; None where there are none."""
    rows = [
        element(
            "tr",
            element("th", title(key), scope="row"),
            element("td", number(value, values.get(key + ERROR)), class_=None if isinstance(value, str) else "number"),
        )
        for key, value in values.items()
        if not is_error(key, values)
    ]
    return element("table", *rows, class_="values") if rows else None


def is_error(key: str, values: Mapping[str, Any]) -> bool:
    """Whether a value is the standard error of another one, beside which it is shown."""
    return key.endswith(ERROR) and key.removesuffix(ERROR) in values


def warnings(texts: Any) -> Markup | None:
    """Warnings, which nobody should miss."""
    found = texts if isinstance(texts, list | tuple) else [texts] if texts else []
    if not found:
        return None
    return element("ul", *(element("li", element("b", "Warning. "), str(t)) for t in found), class_="warnings")


def _nested(key: str, values: Mapping[str, Any]) -> Markup:
    return element("section", element("h4", title(key)), details(values))


def _list(key: str, values: Sequence[Any], beside: Mapping[str, Any]) -> Markup | None:
    """A list: numbers as bars, rows of numbers as a matrix, records as tables, other values as text."""
    if key.endswith(ERROR) and key.removesuffix(ERROR) in beside:
        return None
    if not values:
        return element("p", f"{title(key)}: none", class_="muted")
    if all(value is None or is_number(value) for value in values):
        return _bars(key, values, beside)
    if _is_matrix(values):
        return _figure(key, charts.matrix(values))
    if all(isinstance(value, Mapping) for value in values):
        return element("section", *(_nested(f"{key} {i}", value) for i, value in enumerate(values)))
    return element("p", f"{title(key)}: {', '.join(map(str, values))}")


def _bars(key: str, values: Sequence[Any], beside: Mapping[str, Any]) -> Markup:
    variances = beside.get("posterior_mean_variance")
    marked, note = None, ""
    if key == "kl_per_dimension" and isinstance(variances, list) and len(variances) == len(values):
        marked = [is_number(variance) and variance > ACTIVE for variance in variances]
        note = (
            f": {sum(marked)} of {len(marked)} units are active (filled), as the variance of their posterior mean is "
            f"above {ACTIVE:g}"
        )
    return _figure(key, charts.bars(key, values, marked=marked), note)


def _figure(key: str, drawn: Markup, note: str = "") -> Markup:
    return element("figure", drawn, element("figcaption", f"{title(key)}{note}"))


def _is_matrix(values: Sequence[Any]) -> bool:
    rows = [list(row) for row in values if isinstance(row, list | tuple)]
    same = len(rows) == len(values) and len({len(row) for row in rows}) == 1 and 0 < len(rows[0]) <= 64
    return same and len(rows) <= 64 and all(v is None or is_number(v) for row in rows for v in row)


def labelled(values: Mapping[str, Any]) -> str:
    """Scalars as one line of text, `chains 16, steps 1,000`."""
    return ", ".join(f"{words(key)} {number(value)}" for key, value in values.items())
