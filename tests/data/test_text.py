"""Lines and bags of words."""

import math
from collections import Counter

import numpy as np
import pytest

from tfvae import data
from tfvae.config import DataConfig
from tfvae.data import text
from tfvae.errors import InputError

NONE = {"scale": "none"}


def opened(source, **fields):
    """All rows `[n, size]`, labels or None, and what was found."""
    whole = data.load_whole(DataConfig(source=source, **(NONE | fields)))
    split = whole.examples
    if not split.has_labels:
        return split.examples(split.num_examples), None, whole
    return (*split.examples(split.num_examples, labels=True), whole)


def encoding(source, **fields):
    return data.load(DataConfig(source=source, **(NONE | fields))).encoding


# Lines --------------------------------------------------------------------------


def test_lines_are_codes_of_characters(tmp_path):
    (tmp_path / "x.txt").write_text("abba\n\n  b \t a  \nc\naaaa\n")
    codes, labels, whole = opened(f"text:{tmp_path}/x.txt")
    # a six times, b three times, then in the order of the alphabet: ' ' and c
    assert encoding(f"text:{tmp_path}/x.txt") == ("", "\ufffd", "a", "b", " ", "c")
    expected = [[2, 3, 3, 2], [3, 4, 2, 0], [5, 0, 0, 0], [2, 2, 2, 2]]
    assert codes.tolist() == expected and codes.dtype == np.float32 and labels is None
    assert whole.names == tuple(f"x.txt@{number}" for number in (0, 2, 3, 4))


def test_another_text_is_read_by_a_given_encoding(tmp_path):
    (tmp_path / "x.txt").write_text("cäb\nabcabc")
    given = ("", "\ufffd", "a", "b", "c")
    codes, _, _ = opened(f"text:{tmp_path}/x.txt", encoding=given, item_shape=(4,))
    assert codes.tolist() == [[4, 1, 3, 0], [2, 3, 4, 2]]
    (tmp_path / "y.txt").write_text("a\nb\nc")
    assert encoding(f"text:{tmp_path}/y.txt", encoding=given) == given


@pytest.mark.parametrize(
    "given", [("a", "b"), ("", "\ufffd", "a", "a"), ("", "\ufffd", "ab"), ("", "\ufffd", "")], ids=str
)
def test_an_encoding_that_is_none(tmp_path, given):
    (tmp_path / "x.txt").write_text("ab\nb\na")
    with pytest.raises(InputError, match=r"^data\.encoding: received .*, expected \(''"):
        opened(f"text:{tmp_path}/x.txt", encoding=given)


def test_long_lines_are_cut(tmp_path):
    (tmp_path / "x.txt").write_text("ab" * 50 + "\nb\nb")
    codes, _, _ = opened(f"text:{tmp_path}/x.txt")
    assert codes.shape == (3, 64) and codes[0].tolist() == [3, 2] * 32  # b is the more frequent
    assert opened(f"text:{tmp_path}/x.txt", item_shape=(100,))[0].shape == (3, 100)


def test_most_frequent_characters_are_kept(tmp_path):
    lines = [chr(0x4E00 + number) * 2 for number in range(126)] + [chr(0x5E00 + number) for number in range(50)]
    (tmp_path / "x.txt").write_text("\n".join(lines))
    found = encoding(f"text:{tmp_path}/x.txt")
    assert len(found) == 128 and set(found[2:]) == {line[0] for line in lines[:126]}
    assert opened(f"text:{tmp_path}/x.txt")[0][126:, 0].tolist() == [1.0] * 50


def test_folders_are_labels(tmp_path):
    for name, content in {"b/one.txt": "xy\nyx", "a/two.txt": "x", "a/one.txt": "y"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    _, labels, whole = opened(f"text:{tmp_path}")
    assert labels.tolist() == [0, 0, 1, 1] and whole.label_names == ("a", "b")
    assert whole.names == ("a/one.txt@0", "a/two.txt@0", "b/one.txt@0", "b/one.txt@1")


@pytest.mark.parametrize("scheme", ["text", "words"])
def test_bad_text(tmp_path, scheme):
    (tmp_path / "empty.txt").write_text(" \n\n\t\n")
    (tmp_path / "latin.txt").write_bytes("käse\n".encode("latin-1") * 9)
    (tmp_path / "folder").mkdir()
    says = {
        "empty.txt": "which holds no text, expected some", "latin.txt": "received a file that cannot be read .* UTF-8",
        "missing.txt": "nothing at", "folder": "without text files",
    }  # fmt: skip
    for name, message in says.items():
        with pytest.raises(InputError, match=rf"^data\.source: .*{message}") as caught:
            opened(f"{scheme}:{tmp_path}/{name}")
        assert "\n" not in str(caught.value)
    (tmp_path / "x.txt").write_text("some words that are here\n" * 9)
    with pytest.raises(InputError, match=r"^data\.scale: received 'unit', expected 'none': .* leave \[0, 1\]$"):
        opened(f"{scheme}:{tmp_path}/x.txt", scale="unit")
    with pytest.raises(InputError, match=r"^data\.item_shape: received \(8, 8, 1\), expected \(.*,\) or \(\)$"):
        opened(f"{scheme}:{tmp_path}/x.txt", item_shape=(8, 8, 1))


def test_sentences():
    d = data.load(DataConfig(source="sentences", **NONE))
    codes, labels, whole = opened("sentences")
    assert codes.shape == (2304, 40) and len(np.unique(codes, axis=0)) == 2304 and len(d.encoding) <= 32
    lines = ["".join(d.encoding[int(code)] for code in row) for row in codes]
    assert lines[0] == "the brave cat dances at the station" and max(map(len, lines)) == 40
    assert all(line.split()[2] == whole.label_names[label] for line, label in zip(lines, labels, strict=True))
    assert math.isclose(math.log(len(lines)), 7.742, abs_tol=1e-3)  # which the docstring promises
    assert [d.split(name).num_examples for name in ("train", "validation", "test")] == [1844, 230, 230]


# Bags of words ------------------------------------------------------------------


def word(number):
    return f"{chr(97 + number // 26)}{chr(97 + number % 26)}ä"


# Each word stands in three documents, twice in each; "und" and "the" in all, "only..." in one.
DOCUMENTS = [
    " ".join([word((number + shift) % 40).upper() for shift in range(3)] * 2) + f", the und 12 x only{word(number)}!"
    for number in range(40)
]


def test_bags_are_counts_of_words(tmp_path):
    (tmp_path / "x.txt").write_text("\n \n".join(document.replace(", ", "\n") for document in DOCUMENTS))
    counts, labels, whole = opened(f"words:{tmp_path}/x.txt")
    words = encoding(f"words:{tmp_path}/x.txt")
    assert words == tuple(sorted(word(number) for number in range(40))) and labels is None
    for document, row in zip(DOCUMENTS, counts, strict=True):
        found = Counter(document.lower().replace(",", "").split())
        assert row.tolist() == [found[one] for one in words] and row.sum() == 6
    assert whole.names[:2] == ("x.txt@0", "x.txt@1")


def test_documents_are_lines_where_no_line_is_empty(tmp_path):
    (tmp_path / "x.txt").write_text("\n".join(DOCUMENTS))
    (tmp_path / "y.txt").write_text("\n\n".join(DOCUMENTS))
    np.testing.assert_array_equal(opened(f"words:{tmp_path}/x.txt")[0], opened(f"words:{tmp_path}/y.txt")[0])


def test_number_of_words_and_a_given_vocabulary(tmp_path):
    (tmp_path / "x.txt").write_text("\n".join([*DOCUMENTS, f"{word(7)} {word(7)} {word(9)} ja ja"]))
    source = f"words:{tmp_path}/x.txt"
    assert encoding(source, item_shape=(38,))[:2] == (word(7), word(9))
    assert len(encoding(source, item_shape=(38,))) == 38 and len(encoding(source)) == 40
    # Documents with fewer than five known words are left out: these have six, four or two.
    counts, _, whole = opened(source, encoding=(word(9), word(8), word(7)))
    assert counts.tolist() == [[2.0, 2.0, 2.0]] and whole.names == ("x.txt@7",)


def test_texts_without_known_words(tmp_path):
    (tmp_path / "x.txt").write_text("one two three\nfour five six\nseven eight nine")
    with pytest.raises(InputError, match=r"^data\.source: received 3 documents in .*, expected words that are in"):
        opened(f"words:{tmp_path}/x.txt")
    with pytest.raises(InputError, match=r"^data\.source: received 3 documents .* at least 5 of .*: \('aa', 'bb'\)$"):
        opened(f"words:{tmp_path}/x.txt", encoding=("aa", "bb"))
    with pytest.raises(InputError, match=r"^data\.encoding: received \('aa', 'aa'\), expected words, each once"):
        opened(f"words:{tmp_path}/x.txt", encoding=("aa", "aa"))
    (tmp_path / "y.txt").write_text("\n".join(DOCUMENTS))
    with pytest.raises(InputError, match=r"^data\.memory_limit_mb: received 0, expected at least 0 for the 40 doc"):
        opened(f"words:{tmp_path}/y.txt", memory_limit_mb=0)


def test_topics_of_python():
    from pydoc_data.topics import topics

    counts, labels, whole = opened("topics")
    words = encoding("topics")
    assert labels is None and counts.shape[1] == len(words) == 1_000 and len(counts) > 500
    assert len(set(whole.names)) == len(counts) and counts.sum(axis=1).min() >= 5
    topic, _, place = whole.names[100].rpartition("@")
    paragraph = text._paragraphs(topics[topic])[int(place)].lower()
    for place in np.flatnonzero(counts[100]):
        assert words[place] in paragraph
    shares = (counts > 0).mean(axis=0)
    assert shares.max() < 0.2 and {"class", "function"} <= set(words) and "the" not in words


def test_an_encoding_is_of_text_and_tables_only():
    with pytest.raises(InputError, match=r"^data\.encoding: received 2 entries, expected none: a 'digits' source"):
        data.load(DataConfig(encoding=("a", "b")))
