"""``kjobs demo``: the main job, shown on a broker of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import click

from ..core.duration import spoken
from ..kafka.embedded import EmbeddedBroker

_USERS = ("ada", "grace", "edsger")
_VERSIONS = 20
_PICTURES = 2000

#: Seconds that the worker may take for everything.
_LIMIT = 40.0


@click.command("demo")
def command() -> None:
    """Show the main job: enqueueing, order per key, a retry, a dead letter.

    Nothing needs to be installed or running: the broker is built in, and gone at the end. Exit code 1: a
    promise that is shown was not kept.
    """
    begun = time.monotonic()
    with EmbeddedBroker() as broker, tempfile.TemporaryDirectory(prefix="kjobs-demo-") as folder:
        diary = Path(folder) / "diary.jsonl"
        _say(f"broker   {broker.bootstrap}, built in: in memory, gone at the end")
        _settings(broker.bootstrap, diary)
        _enqueue()
        code = _work()
        kept = _show(diary)
    _say(f"that was {spoken(round(time.monotonic() - begun, 1))}; the worker ended with exit code {code}")
    sys.exit(0 if kept and code == 0 else 1)


def _settings(bootstrap: str, diary: Path) -> None:
    """Settings for this process and for the worker's."""
    from ..demo.shop import DIARY

    for name in [name for name in os.environ if name.startswith("KJOBS_")]:
        del os.environ[name]  # the demo's broker is not the one they are for
    os.environ["KJOBS_BOOTSTRAP_SERVERS"] = bootstrap
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
    shop.app.close()


def _work() -> int:
    """Run a worker, as a process of its own, until there is nothing left to do."""
    arguments = ["worker", "kjobs.demo.shop:app", "--burst", "--threads", "4"]
    _say(f"worker   kjobs {' '.join(arguments)}")
    worker = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "kjobs", *arguments], stderr=subprocess.PIPE, text=True
    )
    limit = threading.Timer(_LIMIT, worker.kill)
    limit.start()
    assert worker.stderr is not None
    for line in worker.stderr:
        click.echo(f"  | {line.rstrip()}")
    limit.cancel()
    return worker.wait()


def _show(diary: Path) -> bool:
    """Print what came of it; whether every promise was kept."""
    from ..admin.dead import DeadLetters
    from ..demo.evidence import judge, read
    from ..demo.shop import app

    dead = list(DeadLetters(app, "payments").list())
    promises = judge(read(diary), dead, users=len(_USERS), versions=_VERSIONS, pictures=_PICTURES)
    click.echo()
    for promise in promises:
        mark = click.style("kept  ", fg="green") if promise.kept else click.style("BROKEN", fg="red")
        click.echo(f"  {mark}  {promise.words:14} {promise.seen}")
    click.echo()
    return all(promise.kept for promise in promises)


def _say(line: str) -> None:
    click.echo(line)
