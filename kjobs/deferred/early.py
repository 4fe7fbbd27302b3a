"""Wishes of others that are read before everything is: they are seen to when it is, in their order."""

from __future__ import annotations

from ..core.deferred import End, Move, Row


class Early:
    """The wishes that wait until everything is read."""

    def __init__(self) -> None:
        self._wishes: dict[str, tuple[End | Move, Row | None]] = {}

    def add(self, wish: End | Move, row: Row | None = None) -> None:
        """Have a wish wait.

        Args:
            wish: the wish.
            row: the call that it takes out, if it was there.
        """
        self._wishes[wish.request] = (wish, row)

    def answered(self, request: str) -> End | Move | None:
        """Whoever had the partition before has answered a request: the wish, if it waits."""
        wish, _ = self._wishes.pop(request, (None, None))
        return wish

    def take(self) -> list[tuple[End | Move, Row | None]]:
        """All of them; they wait no more."""
        wishes, self._wishes = self._wishes, {}
        return list(wishes.values())
