"""How a simulated attempt ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from kjobs.core.outcome import (
    OK,
    Condemned,
    Discarded,
    Early,
    Expired,
    Failed,
    Outcome,
    Reason,
    Snoozed,
    Succeeded,
)
from kjobs.core.partition import Entry
from tests.proof.history import Result

from .plan import Script

if TYPE_CHECKING:
    from .world import World

#: Seconds that a snoozed call sleeps, and that an early one has to wait.
_NAP = 0.4


def outcome_of(script: Script, entry: Entry, world: World) -> Outcome:
    """The outcome of the attempt that is about to begin."""
    policy = world.plan.lax if script.relaxed else world.plan.strict
    match world.ending(entry):
        case "ok":
            return OK
        case "fail":
            return Failed(ValueError("simulated"), policy, draw=0.5)
        case "fatal":
            return Failed(KeyError("not retried"), world.unforgiving(policy), draw=0.5)
        case "snooze":
            return Snoozed(_NAP, policy)
        case "discard":
            return Discarded("simulated")
        case "condemn":
            return Condemned(Reason.REJECTED, ValueError("simulated"))
        case "undecodable":
            return Condemned(Reason.UNDECODABLE, ValueError("simulated"))
        case "expired":
            return Expired(world.now - 1.0)
        case "early":
            return Early(world.due(entry), policy)
        case other:
            raise ValueError(other)


def result_of(outcome: Outcome) -> Result:
    """An outcome as histories name it."""
    match outcome:
        case Succeeded():
            return "ok"
        case Failed():
            return "failed"
        case Snoozed():
            return "snoozed"
        case Early():
            return "early"
        case Expired():
            return "expired"
        case Discarded():
            return "discarded"
        case Condemned():
            return "condemned"
        case _:
            assert_never(outcome)
