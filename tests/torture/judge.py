"""Judges a run: partition by partition, as many at a time as there are processors."""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.proof import history as h
from tests.proof.checker import Config, Rules, Violation, check
from tests.proof.invariants_ownership import leases_are_earned
from tests.proof.invariants_process import stops_when_told
from tests.proof.telling import tell
from tests.proof.violations import Findings
from tests.torture.eras import eras, renewals
from tests.torture.insight import prepared
from tests.torture.jobs import RELAXED
from tests.torture.layout import RETRIES
from tests.torture.shards import events_of, processes_in, shards_in

#: What the checker says instead of telling more of the same.
_MORE = re.compile(r"and (\d+) more violations")
#: Seconds after its grace in which a process may end: commits and leaving may take their time.
_EXIT_SLACK = 25.0

#: Headers that every dead letter has.
DEAD_HEADERS = frozenset(
    f"kj-{name}"
    for name in (
        *("id", "reason", "error", "message", "attempts", "topic", "partition", "offset", "timestamp"),
        *("failed-at", "group", "worker", "version"),
    )
)


class RulesById(Mapping[str, Rules]):
    """The rules of calls, as their ids tell."""

    _RELAXED = Rules(retries=RETRIES, order="relaxed")
    _STRICT = Rules(retries=RETRIES)

    def __getitem__(self, call: str) -> Rules:
        return self._RELAXED if call.startswith(RELAXED) else self._STRICT

    def __iter__(self) -> Iterator[str]:
        return iter((RELAXED,))

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the judge says of one partition, or of all.

    Attributes:
        counts: violations by code.
        told: some of them, in words.
        figures: what was counted.
        late: seconds that delayed calls without a key began after their time, a sample.
    """

    counts: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)

    def add(self, other: Opinion) -> None:
        """Take in what is said of another partition."""
        self.counts.update(other.counts)
        self.told.extend(other.told)
        self.figures.update(other.figures)
        self.late.extend(other.late)


def promises(**config: Any) -> Config:
    """What a run has promised, as far as one partition shows it; of processes see :func:`judge_processes`."""
    common: dict[str, Any] = {
        "usual": Rules(retries=RETRIES),
        "rules": RulesById(),
        "confirmed": True,
        "commit_window": 2.5,
        "erase_window": 4.0,
        "report_lag": 1.5,
        "revoke_budget": 10.0,
        "early_slack": 0.01,
        "start_slack": 0.5,
        "exit_slack": float("inf"),
        "dead_headers": DEAD_HEADERS,
    }
    return Config(**{**common, **config})


def judge(folder: Path, session: float, processes: int, told: Callable[[str], None]) -> Opinion:
    """Judge what is in a folder of shards.

    Args:
        folder: with them.
        session: the groups' session timeout.
        processes: how many judge at a time.
        told: hears of every one that is judged.
    """
    whole = judge_processes(folder, session)
    shards = shards_in(folder)
    # Fresh processes now and then: what one needed must not be there still when the next one needs the most.
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=6) as pool:
        opinions = pool.imap(judge_shard, shards)
        for shard, opinion in zip(shards, opinions, strict=True):
            whole.add(opinion)
            if opinion.counts:
                told(f"{shard.stem}: {sum(opinion.counts.values())} violations")
    return whole


def judge_processes(folder: Path, session: float) -> Opinion:
    """Judge what is not of one partition: leases, and how processes stop."""
    opinion = Opinion()
    config = promises(session_timeout=session, exit_slack=_EXIT_SLACK)
    findings = Findings(config.most)
    story = tell(processes_in(folder), config, findings)
    leases_are_earned(story, config, findings)
    stops_when_told(story, config, findings)
    _take(findings.told(), opinion, "processes")
    return opinion


def judge_shard(shard: Path) -> Opinion:
    """Judge one partition."""
    opinion = Opinion()
    for era in eras(list(events_of(shard)), renewals(shard)):
        whole = prepared(era.events)
        _take(check(whole, config=promises(drained=era.last)), opinion, shard.stem)
        _count(whole, opinion)
    return opinion


def _take(violations: Iterable[Violation], opinion: Opinion, where: str) -> None:
    for violation in violations:
        more = _MORE.match(violation.message)
        opinion.counts[violation.code] += int(more[1]) if more else 1
        if not more:
            opinion.told.append(f"{where}: {violation}")


def _count(history: Sequence[h.AnyEvent], opinion: Opinion) -> None:
    """Count what is of interest."""
    figures = opinion.figures
    done: Counter[tuple[h.Place | None, int | None]] = Counter()
    wanted = {e.name for e in history if isinstance(e, h.DelayedLogged) and (e.what == "move" or e.request)}
    due = {
        event.call: event.due
        for event in history
        if isinstance(event, h.Scheduled) and event.key is None and event.call not in wanted
    }
    for event in history:
        match event:
            case h.Enqueued():
                figures["enqueued"] += 1
            case h.Scheduled():
                figures["delayed"] += 1
            case h.Started():
                figures["attempts"] += 1
                if event.call in due:
                    opinion.late.append(event.t - due.pop(event.call))
            case h.Effect(ok=True):
                done[event.place, event.offset] += 1
            case h.DeadLogged():
                figures["dead letters"] += 1
            case h.Logged():
                figures["records"] += 1
            case h.Replayed():
                figures["replayed"] += 1
            case h.Committed():
                figures["commits"] += 1
            case h.DelayedLogged(what="call") if event.inc:
                figures["retries stored"] += 1
            case h.LostBy():
                figures["partitions lost"] += 1
            case h.AssignedTo():
                figures["assignments"] += 1
    figures["succeeded"] += len(done)
    figures["repeated"] += sum(count - 1 for count in done.values())
