"""How a simulated attempt ends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from kjobs.core.outcome import (
    OK,
    Condemned,
    Crashed,
    Discarded,
    Early,
    Expired,
    Failed,
    Outcome,
    Reason,
    Snoozed,
    Succeeded,
)
from tests.proof.history import Result

from .calls import Call

if TYPE_CHECKING:
    from .world import World


def outcome_of(call: Call, world: World) -> Outcome:
    """The outcome of the attempt that is about to begin."""
    policy = world.plan.lax if call.script.relaxed else world.plan.strict
    match call.ending:
        case "ok":
            return OK
        case "fail":
            return Failed(ValueError("simulated"), policy, draw=0.5)
        case "fatal":
            return Failed(KeyError("not retried"), replace(policy, retry_on=(ValueError,)), draw=0.5)
        case "snooze":
            return Snoozed(world.plan.nap, policy)
        case "discard":
            return Discarded("simulated")
        case "crash" | "crack":
            return Crashed(RuntimeError("simulated"), policy)
        case "condemn":
            return Condemned(Reason.REJECTED, ValueError("simulated"))
        case "undecodable":
            return Condemned(Reason.UNDECODABLE, ValueError("simulated"))
        case "expired":
            return Expired(world.now - 1.0)
        case "early":
            return Early(call.early, policy) if world.now < call.early else OK
        case other:
            raise ValueError(other)


def result_of(outcome: Outcome) -> Result:
    """An outcome as histories name it."""
    match outcome:
        case Succeeded():
            return "ok"
        case Failed():
            return "failed"
        case Crashed():
            return "crashed"
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
