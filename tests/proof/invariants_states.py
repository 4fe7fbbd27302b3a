"""With what attempts go on: I30."""

from __future__ import annotations

from collections import defaultdict

from .expectations import Config
from .history import DelayedLogged
from .story import NEVER, Attempt, Record, Session, State, Story
from .violations import Findings

#: What a call was told of a state that is not saved, for certain.
_NOT_SAVED = frozenset({"refused", "failed"})


def attempts_go_on_with_what_was_saved(story: Story, config: Config, findings: Findings) -> None:
    """I30: an attempt begins with the last state that its call was told to be saved, or a later one.

    A later one is one of which nobody knows: it was asked for after that, and not refused. It is not that of
    an owner before the one that saved the last, nor does it come while another owner goes on.
    """
    for record in story.records():
        former: dict[Session | None, Attempt] = {}
        for attempt in record.attempts:
            if not attempt.ran or attempt.started > record.withdrawn:
                continue
            why = _wrong(record, attempt, former.get(attempt.session))
            if why:
                state = _find(record, attempt.state)
                findings.add(
                    "I30",
                    f"{record} goes on with {attempt.state!r}, {why}",
                    None if state is None else story.at(state.seq),
                    story.at(attempt.started),
                )
            former[attempt.session] = attempt


def _wrong(record: Record, attempt: Attempt, former: Attempt | None) -> str:
    """What is wrong with the state that an attempt begins with, or ""."""
    saved = [state for state in record.states if _is_kept(record, state, attempt.started)]
    last = max(saved, key=lambda state: state.told, default=None)
    if attempt.state is None:
        return "" if last is None else f"and {last.name!r} was saved before"
    state = _find(record, attempt.state)
    if state is None or state.seq > attempt.started:
        return "which it never asked to be saved"
    if state.fate in _NOT_SAVED and state.told < attempt.started:
        return f"which was {state.fate}"
    if last is not None and state is not last:
        if state.seq < last.seq:
            return f"and {last.name!r} was saved since"
        if _began(state.session) < _began(last.session):
            return f"which an earlier owner wrote than the one who saved {last.name!r}"
    if former is not None and state.session is not attempt.session and former.state != attempt.state:
        return "which somebody else wrote while this owner had it"
    return ""


def _is_kept(record: Record, state: State, until: int) -> bool:
    """Whether a state was saved, and its call has been in the store since then.

    One that has ended there may come again from the queue, and begins anew.
    """
    if state.fate != "saved" or state.told > until:
        return False
    return any(stay.began < state.told < stay.ended and until < stay.ended for stay in record.stays)


def _find(record: Record, name: str | None) -> State | None:
    return next((state for state in record.states if state.name == name), None)


def _began(session: Session | None) -> int:
    return NEVER if session is None else session.began


def what_is_refused_is_not_written(story: Story, config: Config, findings: Findings) -> None:
    """I30: a state of which its call was told for certain that it is not saved is in no record of the log."""
    logged: defaultdict[str | None, list[DelayedLogged]] = defaultdict(list)
    for event in story.events:
        if isinstance(event, DelayedLogged) and event.state is not None:
            logged[event.state].append(event)
    for record in story.records():
        for state in record.states:
            if state.fate in _NOT_SAVED and state.name in logged:
                findings.add(
                    "I30",
                    f"{record} was told that {state.name!r} was {state.fate}, and it was written",
                    story.at(state.told),
                    logged[state.name][0],
                )
