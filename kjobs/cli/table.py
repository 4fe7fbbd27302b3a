"""Text for terminals: tables, and text that was written by others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

#: Rows that are lined up together, so that a table of any length can be printed as it comes.
_TOGETHER = 200


def escaped(text: str, *, longest: int | None = None) -> str:
    r"""Text in one line that can do nothing to the terminal: what cannot be printed is spelled out.

    >>> escaped("to\x1b[31m red\n")
    'to\\x1b[31m red\\n'

    Args:
        text: any text.
        longest: cut it to so many characters.
    """
    plain = text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)


def block(text: str, *, indent: str = "  ") -> str:
    """Text of several lines, each escaped and indented: no line can pass for one of ours."""
    return "\n".join(indent + escaped(line.expandtabs(4)) for line in text.split("\n"))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, as the rows come; without rows, none."""
    rest = iter(rows)
    widths = [len(title) for title in titles]
    first = True
    while some := list(islice(rest, _TOGETHER)):
        for row in some:
            widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
        if first:
            yield _line(titles, widths)
            first = False
        for row in some:
            yield _line(row, widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
