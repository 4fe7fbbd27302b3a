"""How an attempt ends: by its time, by what the job raises, by what it says itself."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from kjobs import DeadLetter, Discard, Retry, Snooze, current
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
)
from tests.worker.invoking import DRAW, NOW, Bench, call_of, entry_of


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"due": NOW * 1000}, OK),
        ({"due": NOW * 1000 - 1}, OK),
        ({"due": NOW * 1000 + 1}, Early),
        ({"due": NOW * 1000 + 86_400_000}, Early),
        ({"expires": NOW * 1000}, OK),
        ({"expires": NOW * 1000 + 1}, OK),
        ({"expires": NOW * 1000 - 1}, Expired),
        ({"expires": 0}, Expired),
        ({"due": NOW * 1000 + 1, "expires": NOW * 1000 + 5}, Early),
        ({"due": NOW * 1000 - 5, "expires": NOW * 1000 - 1}, Expired),
    ],
)
def test_a_call_starts_neither_early_nor_after_its_expiry(
    bench: Bench, fields: dict[str, float], outcome: Any
) -> None:
    ran: list[int] = []

    @bench.app.job(name="j")
    def job() -> None:
        ran.append(1)

    found = bench.run("j", **{name: int(value) for name, value in fields.items()})
    assert found is outcome or type(found) is outcome
    assert bool(ran) == (found is OK)
    if isinstance(found, Early):
        assert found.due == int(fields["due"]) / 1000
        assert found.policy is job.policy
    if isinstance(found, Expired):
        assert found.expires == int(fields["expires"]) / 1000


def test_a_delayed_call_runs_when_its_time_has_come(bench: Bench) -> None:
    @bench.app.job(name="j")
    def job() -> None: ...

    entry = entry_of(call_of("j", due=int(NOW * 1000) + 500))
    assert isinstance(bench.take(entry), Early)
    bench.now += 0.499
    assert isinstance(bench.take(entry), Early)
    bench.now += 0.001
    assert bench.take(entry) is OK


def test_a_replayed_call_does_not_expire(bench: Bench) -> None:
    @bench.app.job(name="j")
    def job() -> None: ...

    value = call_of("j", expires=1)
    assert isinstance(bench.take(entry_of(value, headers=[("kj-replays", b"1")])), Expired)
    assert bench.take(entry_of(value, headers=[("kj-replay-of", b"kjobs.mail.dead[3]@1")])) is OK


@pytest.mark.parametrize("field", ["due", "expires", "at"])
@pytest.mark.parametrize("number", ["9" * 300, "9" * 400, "-" + "9" * 400, "9" * 20, "-1", "9" * 4000])
def test_a_time_beyond_all_times_harms_nobody(bench: Bench, field: str, number: str) -> None:
    @bench.app.job(name="j")
    def job() -> None:
        assert current().enqueued_at

    found = bench.take(entry_of(b'{"job":"j","' + field.encode() + b'":' + number.encode() + b"}"))
    assert not isinstance(found, Failed)


# --- how it ends --------------------------------------------------------------------------------------


class Odd(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        TypeError("job"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        Odd(),
        MemoryError(),
    ],
)
@pytest.mark.parametrize(
    "middleware", [[], [lambda context, call_next: call_next()]], ids=["plain", "wrapped"]
)
def test_whatever_a_job_raises_is_a_failure_of_its_call(error: BaseException, middleware: list[Any]) -> None:
    bench = Bench(middleware)

    @bench.app.job(name="j")
    def job() -> None:
        raise error

    @bench.app.job(name="a")
    async def later() -> None:
        raise error

    for name in ("j", "a"):
        found = bench.run(name)
        assert isinstance(found, Failed)
        assert (found.error, found.policy, found.draw, found.retry_in) == (error, job.policy, DRAW, None)


@pytest.mark.parametrize(
    ("verdict", "check"),
    [
        (Retry(delay="7s"), lambda found: type(found) is Failed and found.retry_in == 7.0),
        (Retry(), lambda found: type(found) is Failed and found.retry_in is None),
        (Snooze("9s"), lambda found: type(found) is Snoozed and found.delay == 9.0),
        (Discard("old news"), lambda found: found == Discarded("old news")),
        (Discard(), lambda found: found == Discarded("discarded by the job")),
        (DeadLetter("gone"), lambda found: type(found) is Condemned and found.reason is Reason.REJECTED),
    ],
)
def test_what_a_job_says_itself_is_what_becomes_of_its_call(
    bench: Bench, verdict: Exception, check: Callable[[Outcome], bool]
) -> None:
    @bench.app.job(name="j")
    def job() -> None:
        raise verdict

    @bench.app.job(name="a")
    async def later() -> None:
        raise verdict

    assert check(bench.run("j"))
    assert check(bench.run("a"))


@pytest.mark.parametrize("options", [{}, {"timeout": 60}])
def test_a_traceback_begins_in_the_job(bench: Bench, options: dict[str, Any]) -> None:
    def inner() -> None:
        raise ValueError("deep")

    @bench.app.job(name="j", **options)
    def job() -> None:
        inner()

    @bench.app.job(name="a", **options)
    async def later() -> None:
        inner()

    found = bench.run("j")
    assert isinstance(found, Failed)
    frames = [frame.name for frame in traceback.extract_tb(found.error.__traceback__)]
    assert frames[-2:] == ["job", "inner"]
    if not options:
        assert frames == ["job", "inner"]
    late = bench.run("a")
    assert isinstance(late, Failed)
    assert [frame.name for frame in traceback.extract_tb(late.error.__traceback__)][-2:] == ["later", "inner"]
