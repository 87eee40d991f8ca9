"""Reads a page as a browser would."""

import dataclasses
import html.parser

VOID = {"br", "img", "meta"}


@dataclasses.dataclass
class Node:
    """An element: its children are nodes and text."""

    name: str
    attributes: dict
    children: list = dataclasses.field(default_factory=list)

    def all(self, name=None, **attributes):
        """The elements inside, of a name and with attributes (`class_` for `class`)."""
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        found = []
        for child in self.children:
            if isinstance(child, Node):
                fits = name in (None, child.name) and all(child.attributes.get(k) == v for k, v in wanted.items())
                found += [child] * fits + child.all(name, **attributes)
        return found

    def text(self):
        """All text inside but that of styles, blanks made one, as `plain`."""
        parts = [c if isinstance(c, str) else c.text() for c in self.children if getattr(c, "name", "") != "style"]
        return plain(" ".join(" ".join(parts).split()))


def plain(text):
    """Text with ASCII for the minus sign, and `none` for the dash of what is not known."""
    return text.replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "none")


class _Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.stack = [Node("document", {})]

    def handle_starttag(self, tag, attrs):
        node = Node(tag, dict(attrs))
        self.stack[-1].children.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_endtag(self, tag):
        assert self.stack.pop().name == tag, "an element is not closed"

    def handle_data(self, data):
        self.stack[-1].children.append(data)


def read(text):
    """The root of a page, all of whose elements are closed."""
    reader = _Reader()
    reader.feed(text)
    assert len(reader.stack) == 1
    return reader.stack[0]


def rows(node):
    """The rows of the tables inside as lists of text."""
    return [[cell.text() for cell in row.all() if cell.name in ("td", "th")] for row in node.all("tr")]
