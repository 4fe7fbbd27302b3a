"""``kjobs demo``: the main job, shown on a broker of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.duration import spoken
from ..kafka.embedded import EmbeddedBroker

if TYPE_CHECKING:
    from ..demo.evidence import Reminders

_USERS = ("ada", "grace", "edsger")
_VERSIONS = 20
_PICTURES = 2000

#: By how much the reminder is delayed that comes, and the one that is cancelled.
_DELAY = "2s"
_LONGER = "3s"
#: Seconds after its time for which is waited that what was cancelled does not come.
_AFTER = 0.3

#: Seconds that the worker may take for everything.
_LIMIT = 40.0
#: Seconds between two looks whether it is done.
_LOOK = 0.05


@click.command("demo")
def command() -> None:
    """Show the main job: enqueueing, order per key, a retry, a dead letter, a delay, a cancelled call.

    Nothing needs to be installed or running: the broker is built in, and gone at the end. Exit code 1: a
    promise that is shown was not kept.
    """
    begun = time.monotonic()
    with EmbeddedBroker() as broker, tempfile.TemporaryDirectory(prefix="kjobs-demo-") as folder:
        diary = Path(folder) / "diary.jsonl"
        _say(f"broker   {broker.bootstrap}, built in: in memory, gone at the end")
        _settings(broker.bootstrap, Path(folder), diary)
        _enqueue()
        with _worker() as worker:
            reminders = _remind()
            _finish(worker, reminders)
        code = worker.returncode
        kept = _show(diary, reminders)
    _say(f"that was {spoken(round(time.monotonic() - begun, 1))}; the worker ended with exit code {code}")
    sys.exit(0 if kept and code == 0 else 1)


def _settings(bootstrap: str, folder: Path, diary: Path) -> None:
    """Settings for this process and for the worker's."""
    from ..demo.shop import DIARY

    for name in [name for name in os.environ if name.startswith("KJOBS_")]:
        del os.environ[name]  # the demo's broker is not the one they are for
    os.environ["KJOBS_BOOTSTRAP_SERVERS"] = bootstrap
    os.environ["KJOBS_STATE_DIR"] = str(folder / "state")
    os.environ[DIARY] = str(diary)


def _enqueue() -> None:
    """What the web side of a shop does."""
    from ..demo import shop

    _say("web      update_profile.delay(user, version) for 3 users, interleaved")
    for version in range(1, _VERSIONS + 1):
        for user in _USERS:
            handle = shop.update_profile.delay(user, version)
    _say(f"         the last one: {handle}")
    _say("web      charge.delay(1, 4200): its bank will fail twice")
    shop.charge.delay(1, 4200)
    _say("web      refund.delay(2): its bank will always say no")
    shop.refund.delay(2)
    begun = time.monotonic()
    shop.thumbnail.delay_many([(picture,) for picture in range(_PICTURES)])
    took = time.monotonic() - begun
    _say(f"web      thumbnail.delay_many(…): {_PICTURES:,} calls acknowledged in {took * 1000:.0f} ms")


@contextmanager
def _worker() -> Iterator[subprocess.Popen[str]]:
    """A worker, as a process of its own, that is ready, for as long as the block runs."""
    arguments = ["worker", "kjobs.demo.shop:app", "--processes", "1", "--threads", "4"]
    _say(f"worker   kjobs {' '.join(arguments)}")
    worker = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "kjobs", *arguments], stderr=subprocess.PIPE, text=True
    )
    limit = threading.Timer(_LIMIT, worker.kill)
    limit.daemon = True
    limit.start()
    ready = threading.Event()
    reader = threading.Thread(target=_echo, args=(worker, ready), daemon=True)
    reader.start()
    try:
        ready.wait()
        yield worker
    finally:
        worker.terminate()
        worker.wait()
        reader.join()
        limit.cancel()


def _echo(worker: subprocess.Popen[str], ready: threading.Event) -> None:
    """Show what a worker says."""
    assert worker.stderr is not None
    for line in worker.stderr:
        click.echo(f"  | {line.rstrip()}")
        if "worker ready" in line:
            ready.set()
    ready.set()  # or it has ended


def _remind() -> Reminders:
    """Delay two calls, and think better of one."""
    from ..admin.delayed import DelayedCalls
    from ..demo import shop
    from ..demo.evidence import Reminders
    from .waiting import listing

    _say(
        f"web      remind.options(delay={_DELAY!r}).delay(1), and remind.options(delay={_LONGER!r}).delay(2)"
    )
    kept = shop.remind.options(delay=_DELAY).delay(1)
    cancelled = shop.remind.options(delay=_LONGER).delay(2)
    with DelayedCalls(shop.app, "reminders") as calls:
        waiting = list(calls.list())
    _say("ops      kjobs delayed list reminders")
    for line in listing(waiting, datetime.now(UTC)):
        click.echo(f"         {line}")
    begun = time.monotonic()
    verdict = cancelled.cancel()
    answered = time.monotonic() - begun
    _say(f"web      handle.cancel() of the second: {verdict}")
    return Reminders(kept, cancelled, len(waiting), verdict, answered)


def _finish(worker: subprocess.Popen[str], reminders: Reminders) -> None:
    """Wait until everything is done, and the cancelled call would have run."""
    from ..connect import open_cluster
    from ..demo import shop

    assert reminders.cancelled.due_ms is not None
    cluster = open_cluster(shop.app.settings)
    topics = [shop.app.names.queue(queue) for queue in sorted({job.queue for job in shop.app.jobs.values()})]
    due = reminders.cancelled.due_ms / 1000 + _AFTER
    while worker.poll() is None and (
        time.time() < due or not cluster.drained(shop.app.settings.group, topics)
    ):
        time.sleep(_LOOK)
    shop.app.close()


def _show(diary: Path, reminders: Reminders) -> bool:
    """Print what came of it; whether every promise was kept."""
    from ..admin.dead import DeadLetters
    from ..demo.evidence import judge, read
    from ..demo.shop import app

    dead = list(DeadLetters(app, "payments").list())
    promises = judge(read(diary), dead, reminders, users=len(_USERS), versions=_VERSIONS, pictures=_PICTURES)
    click.echo()
    for promise in promises:
        mark = click.style("kept  ", fg="green") if promise.kept else click.style("BROKEN", fg="red")
        click.echo(f"  {mark}  {promise.words:14} {promise.seen}")
    click.echo()
    return all(promise.kept for promise in promises)


def _say(line: str) -> None:
    click.echo(line)
