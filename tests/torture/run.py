"""A run from its beginning to its verdict."""

from __future__ import annotations

import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from confluent_kafka import KafkaException

from kjobs.errors import KjobsError
from tests.torture.dump import dump
from tests.torture.judge import judge
from tests.torture.nemesis import Nemesis
from tests.torture.plan import Order
from tests.torture.shards import Shards
from tests.torture.stage import PREFIX, Stage
from tests.torture.terms import Terms
from tests.torture.verdict import Verdict

_LOOK = 1.0


def run(
    terms: Terms,
    profile: str,
    seconds: float,
    plan: Sequence[Order],
    root: Path,
    told: Callable[[str], None],
    *,
    keep: bool = False,
) -> Verdict:
    """Put everything up, let it run, and judge.

    Args:
        terms: how it is put up.
        profile: its name, for the verdict.
        seconds: how long it runs.
        plan: the faults.
        root: where everything is kept; but for the verdict, only if something was found, or ``keep``.
        told: hears how it goes.
        keep: also of a good run.
    """
    verdict = Verdict(
        seed=terms.seed, profile=profile, nodes=terms.nodes, protocol=terms.protocol, seconds=seconds
    )
    began = time.monotonic()
    try:
        _live(terms, seconds, plan, root, told, verdict)
        _judge(terms, root, told, verdict)
    except (AssertionError, KafkaException, KjobsError, OSError, RuntimeError) as error:
        verdict.add("HARNESS", "".join(traceback.format_exception(error)))
    verdict.figures["seconds in all"] = round(time.monotonic() - began, 1)
    verdict.write(root / "verdict.json")
    if verdict.good and not keep:
        _tidy(root)
    return verdict


def _live(
    terms: Terms,
    seconds: float,
    plan: Sequence[Order],
    root: Path,
    told: Callable[[str], None],
    verdict: Verdict,
) -> None:
    """Run, heal, drain, stop, dump."""
    told(f"putting up {terms.nodes} broker(s) and the workers")
    with Stage(terms, root) as stage:
        stage.ready()
        told("everything runs")
        nemesis = Nemesis(stage, plan)
        with stage.sampler, stage.tail:
            with stage.agenda:
                nemesis.begin()
                _wait(stage, nemesis, seconds, told)
            verdict.faults, verdict.missed = dict(nemesis.injected), dict(nemesis.missed)
            told("the faults are over, and the callers stop")
            stage.heal()
            stage.callers.stop()
            _drain(stage, told, verdict)
            stage.stop()
            told("all workers have stopped")
            peaks = stage.sampler.peaks
        verdict.figures |= {
            "processes killed": stage.desk.killed,
            "processes stopped": stage.desk.exited,
            "largest lag": peaks.lag,
            "largest worker, MB": round(peaks.rss / 1e6),
            "most descriptors": peaks.descriptors,
            "most threads": peaks.threads,
        }
        shards = Shards(stage.folders.shards)
        told("reading the topics")
        dump(stage.broker, PREFIX, shards)
        shards.split(sorted(stage.folders.histories.glob("*.jsonl")))
        shards.split(sorted(stage.folders.effects.glob("*.jsonl")))
        shards.close()


def _wait(stage: Stage, nemesis: Nemesis, seconds: float, told: Callable[[str], None]) -> None:
    began = time.monotonic()
    pause = threading.Event()
    while (left := began + seconds - time.monotonic()) > 0:
        pause.wait(min(left, 10.0))
        stage.callers.check()
        stage.keep()
        told(
            f"{time.monotonic() - began:,.0f} of {seconds:,.0f} s: {nemesis.injected.total():,} faults, "
            f"{stage.desk.killed:,} processes killed, {stage.sampler.peaks.lag:,} calls behind at most"
        )


def _drain(stage: Stage, told: Callable[[str], None], verdict: Verdict) -> None:
    """Wait until everything is finished; all is well by now."""
    began = time.monotonic()
    deadline = began + stage.terms.drain
    while not stage.drained():
        if time.monotonic() > deadline:
            lag = stage.lag()
            waiting = [f"{name} in {place[0]}[{place[1]}]" for place, name in stage.tail.waiting()]
            verdict.add(
                "DRAIN",
                f"after {stage.terms.drain:g} s {lag or 'no'} calls are unfinished in the queues, "
                f"{stage.tail.behind()} records of the deferred store are unread, and {len(waiting)} calls "
                f"wait in it: {', '.join(waiting[:10])}",
            )
            return
        threading.Event().wait(_LOOK)
    verdict.figures["seconds to drain"] = round(time.monotonic() - began, 1)
    told(f"everything is finished after {time.monotonic() - began:.0f} s")


def _judge(terms: Terms, root: Path, told: Callable[[str], None], verdict: Verdict) -> None:
    began = time.monotonic()
    opinion = judge(root / "shards", terms.session, os.cpu_count() or 1, told)
    for code, count in opinion.counts.items():
        verdict.violations[code] = verdict.violations.get(code, 0) + count
    verdict.told += opinion.told
    verdict.figures |= {name: opinion.figures[name] for name in sorted(opinion.figures)}
    if opinion.late:
        late = sorted(opinion.late)
        verdict.figures["delayed calls late, s, p50"] = round(late[len(late) // 2], 3)
        verdict.figures["delayed calls late, s, p99"] = round(late[int(len(late) * 0.99)], 3)
    verdict.figures["seconds to judge"] = round(time.monotonic() - began, 1)


def _tidy(root: Path) -> None:
    """Remove what is only needed to look into a failure."""
    for name in ("histories", "effects", "shards", "state", "marks", "logs"):
        shutil.rmtree(root / name, ignore_errors=True)
