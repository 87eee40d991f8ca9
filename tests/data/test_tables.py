"""Tables: scikit-learn's sets and CSV files."""

import json

import numpy as np
import pytest
from sklearn import datasets

from tfvae import data
from tfvae.config import DataConfig
from tfvae.data import tables
from tfvae.errors import InputError
from tfvae.likelihoods import Table

ROWS = """age,color, Size ,smoker,label
31,red,1.5,0,sick
45,blue,-2.5,1,well
31,green,3e0,1,well
60,red,0.5,0,sick
22,red,1.0,0,well
"""


@pytest.fixture
def write(tmp_path):
    def write(content, name="x.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"csv:{tmp_path / name}"

    return write


def opened(source, **fields):
    """All rows `[n, columns]`, labels or None, and the names of the labels."""
    whole = data.load_whole(DataConfig(source=source, scale="none", **fields))
    split = whole.examples
    if not split.has_labels:
        return split.examples(split.num_examples), None, whole.label_names
    return (*split.examples(split.num_examples, labels=True), whole.label_names)


def encoding(source, **fields):
    return data.load(DataConfig(source=source, scale="none", **fields)).encoding


SEQUENTIAL = {"split_order": "sequential", "validation_fraction": 0.2, "test_fraction": 0.2}


def test_columns_of_each_kind(write):
    x, labels, names = opened(write(ROWS), **SEQUENTIAL)
    assert labels.tolist() == [0, 1, 1, 0, 1] and names == ("sick", "well") and x.dtype == np.float32
    # The first three rows are those of the training.
    age, size = np.array([31.0, 45, 31, 60, 22]), np.array([1.5, -2.5, 3, 0.5, 1])
    age, size = (age - age[:3].mean()) / age[:3].std(), (size - size[:3].mean()) / size[:3].std()
    expected = [age, [2, 0, 1, 2, 2], size, [0, 1, 1, 0, 0]]
    np.testing.assert_allclose(x, np.transpose(expected), rtol=1e-5, atol=1e-6)
    found = encoding(write(ROWS), **SEQUENTIAL)
    entries = [json.loads(entry) for entry in found]
    assert [entry[0] for entry in entries] == ["age", "color", "Size", "smoker", "label"]
    assert entries[1] == ["color", ["blue", "green", "red"]] and entries[3] == ["smoker", ["0", "1"]]
    assert tables.suggested_columns(found) == ("gaussian", "categorical:3", "gaussian", "bernoulli")


def test_two_numbers_are_coded_by_their_size(write):
    x, labels, names = opened(write("grade,label\n10,10\n9,2\n9,10\n10,1\n"))
    assert x[:, 0].tolist() == [1, 0, 0, 1] and names == ("1", "2", "10") and labels.tolist() == [2, 1, 2, 0]


def test_suggested_kinds_fit_the_data(write):
    source = write(ROWS)
    likelihood = Table(columns=tables.suggested_columns(encoding(source)))
    data.load(DataConfig(source=source, scale="none"), check=likelihood.check)
    with pytest.raises(InputError, match="column 1: received 2 for a bernoulli likelihood"):
        kinds = ("gaussian", "bernoulli", "gaussian", "gaussian")
        data.load(DataConfig(source=source, scale="none"), check=Table(columns=kinds).check)


def test_counts_stay_counts_where_the_encoding_says_so(write):
    source = write("visits;age\n3;1\n0;2\n7;3\n1;4\n")
    x, _, _ = opened(source, encoding=('["visits"]', '["age", 2, 0.5]'))
    assert x.tolist() == [[3, -2], [0, 0], [7, 2], [1, 4]]
    assert tables.suggested_columns(('["visits"]', '["age", 2, 0.5]')) == ("poisson", "gaussian")


def test_another_table_is_read_by_a_given_encoding(write):
    given = encoding(write(ROWS), **SEQUENTIAL)
    source = write("color\tsmoker\tage\tSize\nred\t1\t31\t1.5\nblue\t0\t100\t0\n", "y.csv")
    x, labels, names = opened(source, encoding=given)
    assert labels is None and names == ()
    np.testing.assert_array_equal(x[0], [*opened(write(ROWS), **SEQUENTIAL)[0][0, :3], 1.0])
    assert x[1, 1] == 0.0 and x[1, 0] > 5
    with pytest.raises(InputError, match=r"received 'pink' in column 'color', expected one of: blue, green, red"):
        opened(write(ROWS.replace("green", "pink"), "z.csv"), encoding=given)
    with pytest.raises(InputError, match=r"received the columns \['age'\], expected \['age', 'color', 'Size', 'smok"):
        opened(write("age\n1\n2", "z.csv"), encoding=given)


def test_empty_cells_of_another_table_are_nan(write):
    given = encoding(write(ROWS))
    source = write(ROWS.replace("blue", "").replace("-2.5", "").replace("31,red", ",red"), "y.csv")
    x, whole = opened(source, encoding=given)[0], opened(write(ROWS))[0]
    holes = np.zeros((5, 4), bool)
    holes[1, 1] = holes[1, 2] = holes[0, 0] = True
    np.testing.assert_array_equal(x, np.where(holes, np.nan, whole))
    assert tables.decode(x, given)[1][:2] == [["", "red", "1.5", "0"], ["45", "", "", "1"]]
    with pytest.raises(InputError, match="received '' in line 2, column 'label'"):
        opened(write(ROWS.replace("sick", ""), "y.csv"), encoding=given)


def test_rows_are_written_as_they_were(write):
    given = encoding(write(ROWS))
    names, rows = tables.decode(opened(write(ROWS))[0], given)
    assert names == ["age", "color", "Size", "smoker"]
    assert rows[:3] == [["31", "red", "1.5", "0"], ["45", "blue", "-2.5", "1"], ["31", "green", "3", "1"]]
    # Means and draws of p(x|z) may lie between codes, or beyond them.
    assert tables.decode(np.array([[0.0, 1.4, 0.0, 7.0]]), given)[1][0][1::2] == ["green", "1"]
    assert tables.decode(np.array([[2.6]]), ('["visits"]',)) == (["visits"], [["2.6"]])


def test_standardisation_leaves_the_test_rows_out(write):
    rows = np.random.default_rng(0).normal(5, 3, size=(50, 2))
    source = write("a,b\n" + "\n".join(f"{a},{b}" for a, b in rows))
    d = data.load(DataConfig(source=source, scale="none"))
    train = d.train.examples(50)
    assert len(train) == 40
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "received 0 lines, expected a line of names"),
        ("a,b\n", "received 1 lines"),
        ("a,b\n1,2\n3\n", r"received 1 cells in line 3, expected 2, as in the first"),
        ("a,b\n1,2\n\n3,4,5\n", r"received 3 cells in line 4"),
        ("a,b\n1,2\n3,\n", r"received '' in line 3, column 'b', expected a word or a finite number$"),
        ("a,b\n1,nan\n3,4\n", r"received 'nan' in line 2, column 'b'"),
        ("a,b\n1,2\n-inf,4\n", r"received '-inf' in line 3, column 'a'"),
        ("a,b\n1,2\n3,NA\n4,5\n", r"received 'NA' in column 'b', expected a number: most of its cells are numbers"),
        ("1,2\n3,4\n5,6\n", r"received the first line \['1', '2'\], expected a name of its own"),
        ("a,a\n3,4\n5,6\n", r"received the first line \['a', 'a'\]"),
        ("a,\n3,4\n5,6\n", r"received the first line \['a', ''\]"),
        ("a,b\n1,2\n1,3\n1,4\n", r"received the one value '1' in column 'a', expected at least two"),
        ("label\n1\n2\n1\n2\n", "received no column but the label"),
        ('a,b\n1,"2\n3,4\n', "received a file that cannot be read"),
        (b"a,b\n1,\xff\n", "received a file that cannot be read .* expected a CSV file in UTF-8"),
        ("a\n" + "\n".join(f"x{n}" for n in range(300)), "received 300 words in column 'a', expected at most 256"),
    ],
)
def test_bad_tables(write, content, message):
    with pytest.raises(InputError, match=rf"^data\.source: .*x\.csv: .*{message}") as caught:
        opened(write(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    ["age", "[1]", '["a", 1]', '["a", 1, 0]', '["a", 1, -2]', '["a", ["x"]]', '["a", ["x", "x"]]', '["a", [1, 2]]',
     '["a", 1, NaN]', "[]", '["a", 1, 2, 3]', "{}", '["a", 1, true, 2]'],
)  # fmt: skip
def test_bad_entries(write, entry):
    with pytest.raises(InputError, match=r"^data\.encoding: received .*, expected \[\"name\", mean, deviation"):
        opened(write(ROWS), encoding=(entry,))


def test_entries_of_one_column(write):
    with pytest.raises(InputError, match=r"^data\.encoding: received the columns \['a', 'a'\], expected each once"):
        opened(write(ROWS), encoding=('["a"]', '["a"]'))


def test_fields_that_tables_take_none_of(write):
    with pytest.raises(InputError, match=r"^data\.scale: received 'unit', expected 'none': columns of a table leave"):
        data.load(DataConfig(source=write(ROWS)))
    with pytest.raises(InputError, match=r"^data\.train_split: received 'x', expected '': a 'csv' source takes none"):
        data.load(DataConfig(source=write(ROWS), scale="none", train_split="x"))


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_bundled_sets_with_classes(name):
    x, labels, names = opened(f"table:{name}")
    bundled = getattr(datasets, f"load_{name}")()
    assert [names[label] for label in labels] == [bundled.target_names[target] for target in bundled.target]
    raw = [[float(cell) for cell in row] for row in tables.decode(x, encoding(f"table:{name}"))[1]]
    np.testing.assert_allclose(raw, bundled.data, rtol=1e-4, atol=1e-5)
    assert abs(x.mean(axis=0)).max() < 0.2 and np.abs(x.std(axis=0) - 1).max() < 0.3


def test_diabetes_has_its_target_and_a_column_of_two_values():
    x, labels, _ = opened("table:diabetes")
    bundled, given = datasets.load_diabetes(scaled=False), encoding("table:diabetes")
    assert x.shape == (442, 11) and labels is None
    assert tables.suggested_columns(given) == ("gaussian", "bernoulli", *["gaussian"] * 9)
    np.testing.assert_array_equal(x[:, 1], bundled.data[:, 1] - 1)
    _, mean, deviation = json.loads(given[10])
    np.testing.assert_allclose(x[:, 10] * deviation + mean, bundled.target, rtol=1e-4, atol=1e-3)


def test_unknown_sets():
    for name in ("titanic", "digits"):
        with pytest.raises(InputError, match=rf"^data\.source: received 'table:{name}', expected table:<one of iris"):
            opened(f"table:{name}")


def test_description(write):
    lines = tables.description(encoding(write(ROWS), **SEQUENTIAL)).splitlines()
    assert lines[1] == '["color", ["blue", "green", "red"]]: categorical:3'
    assert lines[-1] == "model.likelihood.columns = ('gaussian', 'categorical:3', 'gaussian', 'bernoulli')"
    fields = {}
    exec(lines[-2].replace("data.encoding", "given"), fields)
    assert fields["given"] == encoding(write(ROWS), **SEQUENTIAL)
