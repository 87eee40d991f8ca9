"""Sources of tables: scikit-learn's bundled sets, and CSV files.

`data.encoding` says for each column how what is written becomes a number. An entry is JSON:

* `["alcohol", 13.0, 0.81]`: a number, less its mean 13.0 and divided by its standard deviation 0.81;
* `["color", ["blue", "red"]]`: one of these words; its place, 0 or 1, is the code;
* `["visits"]`: a number as it is written, such as a count;
* `["label", ["no", "yes"]]`: words of the column `label`, which is the label and no part of x.

Where `data.encoding` is empty it is made of the table: words get codes in the order of the alphabet, and so do numbers
that have two values only, smaller first; others are standardised by mean and deviation of the training rows. A model
keeps the entries of its own data, so that another table is read by them; an empty cell of that becomes NaN.
`tools/describe_table.py` shows the entries, and the kinds that `likelihoods.Table` could have.
"""

import csv
import json
import math
from typing import Any

import numpy as np

from tfvae.config import DataConfig
from tfvae.data import paths, splits
from tfvae.data.paths import first_line, refusal
from tfvae.data.storage import Found
from tfvae.errors import InputError

LABEL = "label"
BUNDLED = ("iris", "wine", "breast_cancer", "diabetes")

_MOST_WORDS = 256  # of a column: beyond, each row has nearly its own
_DELIMITERS = ",;\t"

Entry = list[Any]
_Columns = dict[str, list[str]]  # name -> what is written, row by row


def read_csv(path: str, config: DataConfig) -> Found:
    """A CSV file with a first line of names: rows float32 `[columns]`; see the module.

    Commas, semicolons or tabs, whichever the first line has most of. A column named `label` holds the labels. Where
    the entries are to be made of it, no cell may be empty.
    """
    file = paths.find(path, source=config.source, expected="a .csv file")[0]
    return _encoded(_parsed(file, missing=bool(config.encoding)), config, file)


def read_table(name: str, config: DataConfig) -> Found:
    """One of scikit-learn's bundled sets: `iris`, `wine`, `breast_cancer` with its classes, `diabetes` with its target.

    What diabetes is to predict, a number, is the last column.
    """
    from sklearn import datasets

    if name not in BUNDLED:
        raise InputError(f"data.source: received {config.source!r}, expected table:<one of {', '.join(BUNDLED)}>")
    found = datasets.load_diabetes(scaled=False) if name == "diabetes" else getattr(datasets, f"load_{name}")()
    cells = [list(map(repr, column.tolist())) for column in found.data.T]
    columns = dict(zip(map(str, found.feature_names), cells, strict=True))
    if name == "diabetes":
        columns["target"] = list(map(repr, found.target.tolist()))
    else:
        columns[LABEL] = [str(found.target_names[target]) for target in found.target]
    return _encoded(columns, config, name)


def description(encoding: tuple[str, ...]) -> str:
    """The entries and the suggested kinds, a line each, and both as fields of a config."""
    entries = [entry for entry in parse_encoding(encoding) if entry[0] != LABEL]
    kinds = suggested_columns(encoding)
    lines = [f"{json.dumps(entry)}: {kind}" for entry, kind in zip(entries, kinds, strict=True)]
    return "\n".join([*lines, "", f"data.encoding = {encoding!r}", f"model.likelihood.columns = {kinds!r}"])


def suggested_columns(encoding: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds that `likelihoods.Table` could have for columns of these entries."""
    return tuple(_kind(entry) for entry in parse_encoding(encoding) if entry[0] != LABEL)


def _kind(entry: Entry) -> str:
    if len(entry) == 1:
        return "poisson"
    if len(entry) == 3:
        return "gaussian"
    return "bernoulli" if len(entry[1]) == 2 else f"categorical:{len(entry[1])}"


def parse_encoding(encoding: tuple[str, ...]) -> list[Entry]:
    """The entries; raises `InputError` for one of another form."""
    entries = []
    for text in encoding:
        try:
            entry = json.loads(text)
        except ValueError:
            entry = None
        if not _is_entry(entry):
            raise InputError(
                f'data.encoding: received {text!r}, expected ["name", mean, deviation above 0], ["name", ["word", '
                '"word", ...]] or ["name"]'
            )
        entries.append(entry)
    if len({entry[0] for entry in entries}) < len(entries):
        raise InputError(f"data.encoding: received the columns {[entry[0] for entry in entries]}, expected each once")
    return entries


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, list) or not 1 <= len(entry) <= 3 or not isinstance(entry[0], str):
        return False
    if len(entry) == 2:
        words = entry[1]
        texts = isinstance(words, list) and all(isinstance(word, str) for word in words)
        return texts and len(set(words)) == len(words) >= 2
    numbers = entry[1:]
    known = all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)
    return known and (len(entry) == 1 or numbers[1] > 0)


def decode(values: np.ndarray, encoding: tuple[str, ...]) -> tuple[list[str], list[list[str]]]:
    """Rows `[n, columns]` as they would be written: the names of the columns, and the cells of each row."""
    entries = [entry for entry in parse_encoding(encoding) if entry[0] != LABEL]
    return [entry[0] for entry in entries], [
        [_written(value, entry) for value, entry in zip(row, entries, strict=True)] for row in values.tolist()
    ]


def _written(value: float, entry: Entry) -> str:
    if math.isnan(value):
        return ""
    if len(entry) == 2:
        return entry[1][min(max(round(value), 0), len(entry[1]) - 1)]
    return f"{value:g}" if len(entry) == 1 else f"{value * entry[2] + entry[1]:.6g}"


def _parsed(file: str, *, missing: bool) -> _Columns:
    """What is written in a file; cells may be empty where `missing`."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            # With the number of the line for each row; empty lines are none.
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            rows = [([cell.strip() for cell in row], reader.line_num) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise refusal(file, f"a file that cannot be read ({first_line(error)})", "a CSV file in UTF-8") from error
    if len(rows) < 2:
        raise refusal(file, f"{len(rows)} lines", "a line of names and rows below it")
    names = rows[0][0]
    if len(set(names)) < len(names) or not all(names) or any(_number(name) is not None for name in names):
        raise refusal(file, f"the first line {names}", "a name of its own for each column")
    for row, line in rows[1:]:
        if len(row) != len(names):
            raise refusal(file, f"{len(row)} cells in line {line}", f"{len(names)}, as in the first")
        for name, cell in zip(names, row, strict=True):
            number = _number(cell)
            if not (cell or (missing and name != LABEL)) or (number is not None and not math.isfinite(number)):
                raise refusal(file, f"{cell!r} in line {line}, column {name!r}", "a word or a finite number")
    return {name: [row[at] for row, _ in rows[1:]] for at, name in enumerate(names)}


def _encoded(columns: _Columns, config: DataConfig, file: str) -> Found:
    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")
    splits.require_stored(config, "columns of a table leave [0, 1]")
    count = len(next(iter(columns.values())))
    given = parse_encoding(config.encoding)
    if given:
        # A label may be missing where it is not asked for.
        names, received = [entry[0] for entry in given], [*columns]
        if set(names) - {LABEL} != set(received) - {LABEL}:
            raise refusal(file, f"the columns {received}", f"{names}, those of data.encoding")
    else:
        rows = splits.cut(count, config)[0] if count >= 3 else np.arange(count)
        given = [_entry(name, cells, rows, file) for name, cells in columns.items()]
    values = {entry[0]: _values(columns[entry[0]], entry, file) for entry in given if entry[0] in columns}
    labels = values.pop(LABEL, None)
    if not values:
        raise refusal(file, "no column but the label", "at least one")
    words = next((entry[1] for entry in given if entry[0] == LABEL), ())
    return Found.of_arrays(
        np.stack([*values.values()], axis=1).astype(np.float32),
        None if labels is None else labels.astype(np.int64),
        lambda: splits.cut(count, config),
        num_levels=None,
        label_names=() if labels is None else tuple(words),
        encoding=tuple(json.dumps(entry) for entry in given),
    )


def _entry(name: str, cells: list[str], rows: np.ndarray, file: str) -> Entry:
    """How a column is encoded, by what all rows have, and by mean and deviation of these `rows`."""
    numbers = [_number(cell) for cell in cells]
    numeric, words = None not in numbers, set(cells)
    if len(words) < 2:
        raise refusal(file, f"the one value {cells[0]!r} in column {name!r}", "at least two: leave the column out")
    if not numeric and 2 * numbers.count(None) < len(cells):
        # One 'NA' would make words of a column of numbers.
        cell = cells[numbers.index(None)]
        raise refusal(file, f"{cell!r} in column {name!r}", "a number: most of its cells are numbers")
    if name == LABEL or not numeric or len(words) == 2:
        if len(words) > _MOST_WORDS:
            expected = f"at most {_MOST_WORDS}: leave the column out"
            raise refusal(file, f"{len(words)} words in column {name!r}", expected)
        return [name, sorted(words, key=float) if numeric else sorted(words)]
    known = np.array(numbers, np.float64)
    deviation = float(known[rows].std())
    # Seven digits are what float32 holds.
    mean, deviation = (float(f"{value:.7g}") for value in (known[rows].mean(), deviation or known.std()))
    return [name, mean, deviation]


def _values(cells: list[str], entry: Entry, file: str) -> np.ndarray:
    """The numbers of a column, NaN for an empty cell."""
    name = entry[0]
    if len(entry) == 2:
        code = {word: number for number, word in enumerate(entry[1])} | {"": math.nan}
        unknown = next((cell for cell in cells if cell not in code), None)
        if unknown is not None:
            raise refusal(file, f"{unknown!r} in column {name!r}", f"one of: {', '.join(entry[1])}")
        return np.array([code[cell] for cell in cells], np.float64)
    numbers = [_number(cell or "nan") for cell in cells]
    if None in numbers:
        raise refusal(file, f"{cells[numbers.index(None)]!r} in column {name!r}", "a number")
    mean, deviation = entry[1:] or (0.0, 1.0)
    return (np.array(numbers, np.float64) - mean) / deviation


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
