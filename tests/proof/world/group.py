"""The simulated coordinator: who owns which partition, and whose commits count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kjobs.core.events import Place


@dataclass(slots=True, eq=False)
class Member:
    """A worker as the group sees it. What it is told waits here until it polls."""

    name: str
    gained: list[Place] = field(default_factory=list)
    asked_back: set[Place] = field(default_factory=set)
    evicted: bool = False


class Group:
    """Shares partitions among members, and moves as few as it can.

    Args:
        places: all partitions.
        order: shuffles members, so that partitions wander.
    """

    def __init__(self, places: Iterable[Place], order: Callable[[list[Member]], None]) -> None:
        self.places = list(places)
        self.members: list[Member] = []
        self.owner: dict[Place, Member | None] = dict.fromkeys(self.places)
        self.offsets: dict[Place, tuple[int, str]] = {}
        self._order = order

    def join(self, name: str) -> Member:
        """A new member."""
        member = Member(name)
        self.members.append(member)
        self.rebalance()
        return member

    def leave(self, member: Member) -> None:
        """A member is gone, by itself or by eviction; its partitions are free at once."""
        if member not in self.members:
            return
        self.members.remove(member)
        for place, owner in self.owner.items():
            if owner is member:
                self.owner[place] = None
        member.gained.clear()
        member.asked_back.clear()
        self.rebalance()

    def rebalance(self) -> None:
        """Give free partitions to members, and ask those for some who have more than their share."""
        if not self.members:
            return
        share = -(-len(self.places) // len(self.members))
        members = list(self.members)
        self._order(members)
        holds = {id(m): sum(1 for o in self.owner.values() if o is m) - len(m.asked_back) for m in members}
        for place in self.places:
            owner = self.owner[place]
            if owner is None:
                poorest = min(members, key=lambda m: holds[id(m)])
                self.owner[place] = poorest
                holds[id(poorest)] += 1
                poorest.gained.append(place)
            elif place not in owner.asked_back and holds[id(owner)] > share:
                holds[id(owner)] -= 1
                if place in owner.gained:
                    owner.gained.remove(place)
                    self.owner[place] = None
                else:
                    owner.asked_back.add(place)
        if None in self.owner.values():
            self.rebalance()

    def move(self, place: Place) -> None:
        """Take a partition from its owner, for no reason; it may well get it again."""
        owner = self.owner[place]
        if owner is not None and place not in owner.gained:
            owner.asked_back.add(place)

    def give_back(self, member: Member, places: Iterable[Place]) -> None:
        """A member has let partitions go."""
        for place in places:
            member.asked_back.discard(place)
            if self.owner[place] is member:
                self.owner[place] = None
        self.rebalance()

    def commit(self, member: Member, place: Place, offset: int, metadata: str) -> str | None:
        """Store an offset, if it comes from the partition's owner; None, or why not."""
        if member not in self.members:
            return "UNKNOWN_MEMBER_ID"
        if self.owner[place] is not member or place in member.gained:
            return "ILLEGAL_GENERATION"
        self.offsets[place] = (offset, metadata)
        return None
