"""Sources of text: lines as codes of characters, and documents as bags of words.

`data.encoding` holds what the codes stand for: of lines the characters, the first two being the end of a line and any
character that is not known; of bags the words. Where it is empty it is made of the text itself, most frequent first,
equals in the order of the alphabet; `item_shape` sets the length of a line, or the number of words.
"""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from tfvae.config import DataConfig
from tfvae.data import paths, splits
from tfvae.data.paths import first_line, refusal
from tfvae.data.storage import Found
from tfvae.errors import InputError

LINES, BAGS = ("sentences", "text"), ("topics", "words")  # the schemes of both kinds
END, UNKNOWN = "", "\N{REPLACEMENT CHARACTER}"

_MOST_CODES = 128  # of characters, with END and UNKNOWN
_LONGEST_LINE = 64
_MOST_WORDS = 1_000
_FEWEST_DOCUMENTS = 2  # that a word is in
_LARGEST_SHARE = 0.15  # of the documents: a word that is in more of them says little
_FEWEST_WORDS = 5  # known ones, with repetitions, of a document

# The grammar of `sentences`.
_ADJECTIVES = ("brave", "happy", "hungry", "little", "old", "quiet", "red", "tall")
_NOUNS = ("cat", "child", "dog", "fox", "horse", "pirate", "robot", "spider")
_VERBS = ("dances", "runs", "sings", "sits", "sleeps", "waits")
_PLACES = ("at the station", "behind the tree", "by the river", "in the house", "on the roof", "under the bed")

# Texts, int64 labels `[N]` or None, the names of the labels, and the names of the texts.
_Texts = tuple[list[str], np.ndarray | None, tuple[str, ...], tuple[str, ...]]


def read_lines(path: str, config: DataConfig) -> Found:
    """The lines of text files as codes of characters, `[length]`, for a `Categorical` likelihood.

    Spaces at the ends and repeated ones go, and empty lines; what is longer than `length`, at most 64 where
    `item_shape` does not say, is cut. Subfolders are labels. `num_categories` is the number of codes, at most 128.
    """
    return _lines(_texts(path, config, lambda text: text.splitlines()), config)


def read_sentences(_: str, config: DataConfig) -> Found:
    """The 2,304 sentences of a small grammar, each once: 'the <adjective> <noun> <verb> <place>', labelled by the noun.

    All are equally likely, so that no model of them has a mean log p(x) above -log 2304 = -7.74 nats, but by chance.
    """
    words = list(itertools.product(_ADJECTIVES, _NOUNS, _VERBS, _PLACES))
    lines = [f"the {' '.join(part)}" for part in words]
    labels = np.array([_NOUNS.index(noun) for _, noun, _, _ in words])
    return _lines((lines, labels, _NOUNS, ()), config)


def read_words(path: str, config: DataConfig) -> Found:
    """The documents of text files as counts of words, `[words]`, for a `Multinomial` likelihood.

    Documents are what empty lines separate; where a file has none, its lines. Words are runs of letters, in lower
    case. Known ones are the 1,000 (or `item_shape`) that most documents have, of those in at least two documents and
    in at most 15 % of them. Documents with fewer than five known words are left out. Subfolders are labels.
    """
    return _bags(_texts(path, config, _paragraphs), config)


def read_topics(_: str, config: DataConfig) -> Found:
    """The paragraphs of Python's own help, `pydoc_data.topics`, as bags of words: see `read_words`.

    The text, and with it every figure, is that of the Python version that runs.
    """
    from pydoc_data.topics import topics

    named = {
        " ".join(text.split()): (topic, number)
        for topic in sorted(topics, reverse=True)  # a text that several topics share is called by the first
        for number, text in enumerate(_paragraphs(topics[topic]))
    }
    texts = sorted(named, key=lambda text: named[text])
    return _bags((texts, None, (), tuple("{}@{}".format(*named[text]) for text in texts)), config)


def _texts(path: str, config: DataConfig, cut: Callable[[str], list[str]]) -> _Texts:
    """What `cut` makes of each file; texts are called `<file>@<number>`."""
    files, labels, label_names, names = paths.collect(path, (".txt",), source=config.source, kind="text files")
    found = [
        (" ".join(part.split()), number, f"{names[number]}@{place}")
        for number, file in enumerate(files)
        for place, part in enumerate(cut(_read(file)))
        if part.strip()
    ]
    if not found:
        raise InputError(f"data.source: received {config.source!r}, which holds no text, expected some")
    texts, owners, numbered = zip(*found, strict=True)
    return list(texts), None if labels is None else labels[list(owners)], label_names, numbered


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8-sig") as stream:
            return unicodedata.normalize("NFC", stream.read())
    except (OSError, UnicodeDecodeError) as error:
        raise refusal(file, f"a file that cannot be read ({first_line(error)})", "text in UTF-8") from error


def _paragraphs(text: str) -> list[str]:
    parts = re.split(r"\n\s*\n", text.strip())
    return parts if len(parts) > 1 else text.splitlines()


def _lines(texts: _Texts, config: DataConfig) -> Found:
    lines, labels, label_names, names = texts
    splits.require_stored(config, "codes of characters leave [0, 1]")
    _refuse(config)
    encoding = config.encoding or _alphabet(lines)
    if encoding[:2] != (END, UNKNOWN) or len(set(encoding)) < len(encoding) or max(map(len, encoding)) > 1:
        raise InputError(
            f"data.encoding: received {_shortened(encoding)}, expected {(END, UNKNOWN)!r} and after it single "
            "characters, each once"
        )
    length = _size(config, "length") or min(max(map(len, lines)), _LONGEST_LINE)
    code = {character: number for number, character in enumerate(encoding)}
    codes = np.zeros((len(lines), length), np.uint16)
    for row, line in zip(codes, lines, strict=True):
        row[: len(line)] = [code.get(character, 1) for character in line[:length]]
    return Found.of_arrays(
        codes.astype(np.float32), labels, lambda: splits.cut(len(codes), config), num_levels=None,
        label_names=label_names, names=names, encoding=encoding,
    )  # fmt: skip


def _alphabet(lines: Iterable[str]) -> tuple[str, ...]:
    counts = Counter(itertools.chain.from_iterable(lines))
    counts.pop(UNKNOWN, None)
    return END, UNKNOWN, *_most(counts)[: _MOST_CODES - 2]


def _bags(texts: _Texts, config: DataConfig) -> Found:
    documents, labels, label_names, names = texts
    splits.require_stored(config, "counts of words leave [0, 1]")
    _refuse(config)
    size = _size(config, "words") or _MOST_WORDS
    tokens = [re.findall(r"[^\W\d_]{2,}", document.lower()) for document in documents]
    encoding = config.encoding or _vocabulary(tokens, config)[:size]
    if len(set(encoding)) < len(encoding):
        raise InputError(f"data.encoding: received {_shortened(encoding)}, expected words, each once")
    code = {word: number for number, word in enumerate(encoding)}
    known = [[code[word] for word in document if word in code] for document in tokens]
    kept = [number for number, document in enumerate(known) if len(document) >= _FEWEST_WORDS]
    if not kept:
        raise InputError(
            f"data.source: received {len(documents)} documents in {config.source!r}, expected some with at least "
            f"{_FEWEST_WORDS} of the known words: {_shortened(encoding)}"
        )
    megabytes = len(kept) * len(encoding) * 4 / 2**20
    if megabytes > config.memory_limit_mb:
        raise InputError(
            f"data.memory_limit_mb: received {config.memory_limit_mb}, expected at least {megabytes:.0f} for the "
            f"{len(kept)} documents of {config.source}: raise it, or set --config.data.item_shape to fewer words"
        )
    counts = np.stack([np.bincount(known[number], minlength=len(encoding)) for number in kept]).astype(np.float32)
    return Found.of_arrays(
        counts, None if labels is None else labels[kept], lambda: splits.cut(len(counts), config), num_levels=None,
        label_names=label_names, names=tuple(names[number] for number in kept), encoding=encoding,
    )  # fmt: skip


def _vocabulary(tokens: list[list[str]], config: DataConfig) -> tuple[str, ...]:
    """The words that are in neither too few nor too many documents, those of most documents first."""
    documents = Counter(itertools.chain.from_iterable(set(document) for document in tokens))
    most = max(_LARGEST_SHARE * len(tokens), _FEWEST_DOCUMENTS)
    fit = Counter({word: count for word, count in documents.items() if _FEWEST_DOCUMENTS <= count <= most})
    if not fit:
        raise InputError(
            f"data.source: received {len(tokens)} documents in {config.source!r}, expected words that are in at least "
            f"{_FEWEST_DOCUMENTS} of them and in at most {_LARGEST_SHARE:.0%}"
        )
    return tuple(_most(fit))


def _most(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))


def _refuse(config: DataConfig) -> None:
    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")


def _size(config: DataConfig, what: str) -> int:
    """The one number of `item_shape`; 0 where it is empty."""
    if len(config.item_shape) > 1:
        raise InputError(f"data.item_shape: received {config.item_shape}, expected ({what},) or ()")
    return config.item_shape[0] if config.item_shape else 0


def _shortened(encoding: tuple[str, ...]) -> str:
    """The first entries, for a message."""
    return f"{encoding[:5]!r}" + (f" and {len(encoding) - 5} more" if len(encoding) > 5 else "")
