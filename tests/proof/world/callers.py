"""Those who enqueue calls, delay them, cancel them and move them: processes that never fail here."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from kjobs.core.deferred import Answered, End, Move, Row
from kjobs.core.events import Place
from tests.proof import history as h
from tests.proof.checker import Rules

from .calls import Call
from .plan import script

if TYPE_CHECKING:
    from .world import World

#: Seconds after its enqueueing that an early call is due.
_DUE_AFTER = 0.8
#: Seconds that somebody waits for what becomes of a wish.
_PATIENCE = 5.0


class Callers:
    """What they have enqueued, and what they have asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._requests = count(1)
        #: Requests of which nothing is known yet.
        self.waiting: set[str] = set()
        #: By the keys of their records in the log of the deferred store, calls that may be there.
        self._names: list[tuple[Place, str, Call]] = []

    # --- enqueueing ------------------------------------------------------------------------------

    def enqueue(self, name: str) -> None:
        """Put a call into the queue."""
        world = self._world
        what = script(world.plan, world.rng, world.save_rng)
        key, number = self._key()
        log = world.logs[world.place(number)]
        if world.chance(world.plan.log_gap):
            log.skip()
        decodes = "undecodable" not in what.endings
        value = b'{"id":"%s","job":"j"}' % name.encode() if decodes else name.encode()
        call = Call(name if decodes else None, value, key, what, log.place, log.end, world.now + _DUE_AFTER)
        world.calls[value] = call
        log.append(key, world.now, value)
        self._rule(name, call)
        if call.name is not None:
            self._names.append((log.place, f"{name}@{call.offset}", call))
            early = what.endings[0] == "early"
            world.tell(
                h.Enqueued(
                    world.now,
                    call=name,
                    place=log.place,
                    offset=call.offset,
                    key=key,
                    due=call.early if early else None,
                )
            )

    def schedule(self, name: str) -> None:
        """Delay a call; now and then in place of an earlier one of the same id."""
        world = self._world
        plan, rng = world.plan, world.rng
        what = script(plan, rng, world.save_rng)
        if {"early", "undecodable"} & set(what.endings):
            return self.schedule(name)
        key, number = self._key()
        place, identity = world.place(number), name
        former = [found for found in self._names if found[2].place[0] != found[0][0]]
        if former and rng.random() < plan.replaced:
            place, identity, old = rng.choice(former)
            key = old.key
        log = world.changelogs[place]
        value = b'{"id":"%s","job":"j","v":1,"args":["%s"]}' % (identity.encode(), name.encode())
        call = Call(name, value, key, what, log.place, -1)
        world.calls[value] = call
        self._rule(name, call)
        self._names.append((place, identity, call))
        due = max(0.001, world.now + (rng.uniform(0.0, plan.due_within) if rng.random() < 0.8 else -1.0))
        due_ms = -int(-due * 1000 // 1)
        row = Row(id=identity, value=value, due_ms=due_ms, key=key, relaxed=what.relaxed, since_ms=due_ms)
        call.offset = world.append(place, row, "").offset
        world.tell(
            h.Scheduled(
                world.now,
                call=name,
                name=identity,
                place=call.place,
                offset=call.offset,
                key=key,
                due=due,
            )
        )
        return None

    def _key(self) -> tuple[bytes | None, int]:
        plan, rng = self._world.plan, self._world.rng
        key = None if rng.random() < plan.unkeyed else b"key-%d" % rng.randrange(plan.keys)
        return key, rng.randrange(plan.partitions) if key is None else key[-1] % plan.partitions

    def _rule(self, name: str, call: Call) -> None:
        policy = self._world.plan.lax if call.script.relaxed else self._world.plan.strict
        self._world.rules[name] = Rules(policy.retries, policy.order)

    # --- wishes ----------------------------------------------------------------------------------

    def wish(self) -> None:
        """Ask for a call not to run, or to run at another time."""
        world = self._world
        if not self._names:
            return
        place, name, _ = world.rng.choice(self._names)
        if world.rng.random() < 0.5:
            # What waits is more interesting than what has ended.
            live = [found for found in self._names if found[1] in world.changelogs[found[0]].live]
            place, name, _ = world.rng.choice(live or self._names)
        request = f"r{next(self._requests)}"
        kind = world.rng.random()
        if kind < 0.05:
            world.append(place, End(id=name), "")
            return
        self.waiting.add(request)
        if kind < 0.55:
            world.append(place, End(id=name, request=request), "")
        else:
            due_ms = int((world.now + world.rng.uniform(0.0, world.plan.due_within)) * 1000)
            world.append(place, Move(request=request, id=name, due_ms=due_ms), "")
        world.after(_PATIENCE, lambda: self._give_up(request))

    def answered(self, answer: Answered) -> None:
        """An answer is in the log, where whoever asked is looking."""
        if answer.request in self.waiting:
            self.waiting.discard(answer.request)
            world = self._world
            world.rare[f"a wish was answered: {answer.verdict}"] += 1
            world.tell(h.Told(world.now, request=answer.request, verdict=answer.verdict.value))

    def _give_up(self, request: str) -> None:
        if request in self.waiting:
            self.waiting.discard(request)
            self._world.rare["a wish was not answered in time"] += 1
            self._world.tell(h.Told(self._world.now, request=request, verdict="unknown"))
