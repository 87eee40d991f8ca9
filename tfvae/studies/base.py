"""What a study is: cells that are run one by one, and a report of their rows."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfvae.component import Component

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
      name: of its folder.
      settings: what tells it from the other cells, as JSON holds it.
    """

    name: str
    settings: dict[str, Any]


def slug(name: str) -> str:
    """A name for a folder: `linear warm-up` as `linear_warm_up`."""
    return re.sub(r"[^a-z0-9.]+", "_", name.lower())


@dataclasses.dataclass(frozen=True)
class Report:
    """What a study says of its rows.

    Attributes:
      headline: one sentence for the overview; each of its numbers stands, with more digits, in the result.
      text: Markdown, whose pictures are those of `figures`.
      figures: names of PNG files and their content; the first is the thumbnail.
      findings: numbers that the text says and no row holds.
      rows: those of the result, where there are others than the cells'; None: those alone.
    """

    headline: str
    text: str
    figures: Mapping[str, bytes]
    findings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rows: Sequence[Row] | None = None


class Study(Component):
    """Kind of what `tools/reproduce.py` runs. Its fields are its settings; the budgets set them.

    Attributes:
      title: of the report.
      source: the paper, and where in it.
      grid: the fields that say which cells there are, and change none of them.
      budgets: name of a budget -> fields that it sets. `quick` takes minutes on two cores, on the embedded digits;
        `full` takes longer, and is of MNIST and Frey faces where a study says nothing else.
    """

    __slots__ = ()

    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    grid: ClassVar[tuple[str, ...]] = ()
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {}, "full": {}}

    @property
    def cells(self) -> Sequence[Cell]:
        """What is run, in this order."""
        raise NotImplementedError

    def run(self, cell: Cell, folder: str, *, verbose: bool) -> Row:
        """Runs a cell; what it found, as JSON holds it.

        Training by `models.trained` goes on where an interrupted call was; what is shorter begins again.

        Args:
          cell: one of `cells`.
          folder: of its own, which is there.
          verbose: shows progress.
        """
        raise NotImplementedError

    def report(self, rows: Sequence[Row], folders: Mapping[str, str]) -> Report:
        """What is said of the rows that are there, which may be some of all.

        Args:
          rows: of the cells that were run; each has its `settings`, and `cell`, its name.
          folders: name of a cell -> its folder, for arrays and pictures that its run left there.
        """
        raise NotImplementedError
