"""What a run promised: the settings and the rules that its history is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kjobs.core.policy import Order


@dataclass(frozen=True, slots=True)
class Rules:
    """What the job of a call says.

    Attributes:
        retries: attempts after the first, or None if unknown.
        order: whether later calls of its key wait for the call between its attempts.
    """

    retries: int | None = None
    order: Order = "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a history must show, and how exact its times are; all times in seconds.

    The defaults are for a simulation that tells exact times and when its commits were sent. A real worker
    needs a ``report_lag`` and a ``start_slack`` of as long as its owner thread may take for one turn.

    Attributes:
        drained: faults were over at the end and everything had time to finish: what is unfinished
            is lost.
        dumped: the history holds every record of the queue topics and dead letter topics at the end.
        effects: every body of a job wrote ``Effect``; otherwise kjobs is believed.
        graceful_only: processes were stopped in order only, and nothing failed: no call runs twice.
        usual: the rules of calls that are not in ``rules``.
        rules: rules by call id.
        slots: calls that one process may run at once.
        max_records: records that one process may hold.
        max_size: bytes that one process may hold.
        session_timeout: after which silence the group evicts a member.
        confirmed: a session begins no call before a commit of it was acknowledged, which shows that the
            assignment is real.
        commit_window: the commit interval and one round trip: what finished longer ago than this
            must have been committed when a process is killed.
        erase_window: the same for what finished in the deferred store, until its log says so.
        notice: how long a worker may take to hear that somebody took a call out of the deferred store,
            or replaced; None if that is not to be judged.
        report_lag: how long it may take from the end of an attempt until commits contain it.
        revoke_budget: how long a revocation waits for running calls; None: until they end.
        forgetful: commit metadata may overflow: finished offsets above the watermark, and failures,
            may be forgotten in a crash.
        early_slack: how much before its time a call may begin; commit metadata counts milliseconds.
        start_slack: how much after the end of a lease, or after TERM, ``Started`` may be.
        exit_slack: how long after its grace a process may be seen to be gone.
        dead_headers: headers that every dead letter must have.
        most: violations told per invariant.
    """

    drained: bool = True
    dumped: bool = True
    effects: bool = True
    graceful_only: bool = False
    usual: Rules = Rules()
    rules: Mapping[str, Rules] = field(default_factory=dict)
    slots: int | None = None
    max_records: int | None = None
    max_size: int | None = None
    session_timeout: float | None = None
    confirmed: bool = False
    commit_window: float = 1.0
    erase_window: float = 1.0
    notice: float | None = None
    report_lag: float = 0.0
    revoke_budget: float | None = None
    forgetful: bool = False
    early_slack: float = 0.002
    start_slack: float = 0.0
    exit_slack: float = 1.0
    dead_headers: frozenset[str] = frozenset({"kj-reason"})
    most: int = 20

    def rules_of(self, call: str | None) -> Rules:
        """The rules of a call; those of no call at all are the usual ones."""
        return self.usual if call is None else self.rules.get(call, self.usual)

    def relaxed(self, call: str | None) -> bool:
        """Whether later calls may overtake this one while it waits."""
        if not self.rules or call is None:
            return self.usual.order == "relaxed"
        return self.rules_of(call).order == "relaxed"
