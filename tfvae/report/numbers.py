"""Numbers and names as a person reads them."""

import math
from typing import Any

NONE, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_ACRONYMS = {
    "auc": "AUC", "dci": "DCI", "elbo": "ELBO", "fid": "FID", "iwae": "IWAE", "kl": "KL", "mig": "MIG",
    "mmd": "MMD", "nll": "NLL", "sap": "SAP", "tc": "TC", "bdmc": "BDMC", "ais": "AIS", "pca": "PCA", "hmc": "HMC",
    "monte": "Monte", "carlo": "Carlo", "frechet": "Frechet", "gaussian": "Gaussian",
}  # fmt: skip


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, finite or not, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any, error: Any = None) -> str:
    """A number with the digits that its standard error leaves, or with four; None as a dash; other values as text.

    Args:
      value: what to show.
      error: its standard error, or None.
    """
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not is_number(value):
        return str(value)
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else _signed(value, "∞")
    if not is_number(error) or not math.isfinite(error) or error <= 0:
        return _integer(value) if isinstance(value, int) else _digits(value, _decimals(value, digits=4))
    decimals = _decimals(error, digits=2)
    return f"{_digits(value, decimals)} ± {_digits(error, decimals)}"


def tick(value: float) -> str:
    """A round number, as short as it can be."""
    return _signed(value, f"{abs(value):.10g}")


def words(name: str) -> str:
    """`kl_per_dimension` as "KL per dimension", `num_samples` as "samples"."""
    parts = [_ACRONYMS.get(part, part) for part in name.removeprefix("num_").replace("_", " ").split()]
    return " ".join(parts) or name


def title(name: str) -> str:
    """`words`, with a capital at the start."""
    text = words(name)
    return text[:1].upper() + text[1:]


def _decimals(value: float, *, digits: int) -> int | None:
    """Decimal places that show so many digits of `value`; None: it is too large or too small to write out."""
    if value == 0:
        return 0
    place = math.floor(math.log10(abs(value)))
    return max(0, digits - 1 - place) if -4 <= place < 9 else None


def _digits(value: float, decimals: int | None) -> str:
    text = f"{abs(value):,.{decimals}f}" if decimals is not None else f"{abs(value):.2e}"
    return _signed(value, text) if any(c in "123456789" for c in text) else text


def _integer(value: int) -> str:
    return _signed(value, f"{abs(value):,}")


def _signed(value: float, text: str) -> str:
    return f"{MINUS}{text}" if value < 0 else text
