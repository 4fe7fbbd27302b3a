"""The judge: reads a history and tells which invariants it breaks.

    violations = check(history, config=Config(slots=8, drained=True))
    assert not violations, violations

Judged are, each under its own code: I1 nothing lost · I2 no phantom · I3 no overtaking in a key · I4 a
replay is a suffix · I5 no overlap in a process · I6 overlap between processes only by zombies, rising
fences · I7 start only while assigned, and under a lease · I8 no commit past an unfinished call · I9
commits never go back · I10 duplicates only where a fault explains them · I11 and none without a fault ·
I12 never early · I13 of each delayed call one copy and not none, and verdicts that are true · I14
attempts exact · I15 dead letters complete · I16 dead or done, not both · I17 no crash for ever · I18
undecodable records are buried · I19 gaps are told · I20 commits reach the end · I23 log order is call
order · I24 one offset, one call · I25 bounded · I26 stops when told · I30 attempts go on with what was
saved last · H0 the history contradicts itself, and proves nothing.

Everything is linear in the length of the history, up to sorting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from .expectations import Config, Rules
from .history import AnyEvent
from .invariants_attempts import attempts_are_exact, never_early
from .invariants_behind import the_queue_waits_for_the_store
from .invariants_commits import commits_never_go_back, commits_pass_nothing
from .invariants_crashes import crashes_end
from .invariants_dead import dead_letters_are_complete, dead_or_done
from .invariants_delayed import (
    delayed_calls_end,
    verdicts_are_true,
    what_is_withdrawn_ends,
    wishes_are_answered,
)
from .invariants_duplicates import duplicates_are_explained
from .invariants_log import log_order_is_call_order, offsets_are_calls
from .invariants_loss import commits_reach_the_end, gaps_are_told, no_phantom, nothing_lost
from .invariants_order import no_overtaking, replay_is_a_suffix
from .invariants_ownership import fences_rise, leases_are_earned, no_overlap, starts_are_owned
from .invariants_places import delayed_calls_keep_their_place
from .invariants_process import memory_is_bounded, stops_when_told
from .invariants_states import attempts_go_on_with_what_was_saved, what_is_refused_is_not_written
from .story import Story
from .telling import tell
from .violations import Findings, Violation

__all__ = ["CODES", "Config", "Rules", "Violation", "check"]

#: The codes under which a history may be found wrong.
CODES: Final = (
    *("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "I14", "I15", "I16"),
    *("I17", "I18", "I19", "I20", "I23", "I24", "I25", "I26", "I30", "H0"),
)

_Invariant = Callable[[Story, Config, Findings], None]

_INVARIANTS: Final[tuple[_Invariant, ...]] = (
    nothing_lost,
    no_phantom,
    no_overtaking,
    delayed_calls_keep_their_place,
    the_queue_waits_for_the_store,
    replay_is_a_suffix,
    no_overlap,
    fences_rise,
    starts_are_owned,
    leases_are_earned,
    commits_pass_nothing,
    commits_never_go_back,
    duplicates_are_explained,
    never_early,
    delayed_calls_end,
    wishes_are_answered,
    verdicts_are_true,
    what_is_withdrawn_ends,
    attempts_are_exact,
    attempts_go_on_with_what_was_saved,
    what_is_refused_is_not_written,
    dead_letters_are_complete,
    dead_or_done,
    crashes_end,
    gaps_are_told,
    commits_reach_the_end,
    log_order_is_call_order,
    offsets_are_calls,
    memory_is_bounded,
    stops_when_told,
)


def check(history: Iterable[AnyEvent], *, config: Config | None = None) -> list[Violation]:
    """Tell what is wrong with a history, the earliest offence first; nothing if it is right."""
    config = Config() if config is None else config
    findings = Findings(config.most)
    story = tell(history, config, findings)
    for invariant in _INVARIANTS:
        invariant(story, config, findings)
    return findings.told()
