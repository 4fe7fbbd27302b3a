"""What can be claimed about calls, and what a wrong claim says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_type
from unittest.mock import ANY
from uuid import UUID

import pytest

from kjobs import App, ArgumentError, DeadLetter, Discard, Job, UnknownJob, testing
from kjobs.testing import DeadCall, Queue, RecordedCall


@pytest.fixture
def app() -> App:
    """An app of the test's own, so that tests do not share jobs."""
    return App()


@pytest.fixture
def queue(app: App) -> Iterator[Queue]:
    """The app's calls."""
    with testing.manual(app) as queue:
        yield queue


@pytest.fixture
def send(app: App) -> Job[..., None]:
    """A job that does as its argument says."""

    @app.job(name="mail.send", aliases=("old.send",), key="user", retries=1)
    def send(user: Any, template: str = "welcome", *, fate: str = "") -> None:
        match fate:
            case "discard":
                raise Discard("not wanted")
            case "reject":
                raise DeadLetter("no address")
            case "fail":
                raise ValueError("bad address")

    return send


def message_of(error: pytest.ExceptionInfo[AssertionError]) -> list[str]:
    """The lines of a failed claim."""
    return str(error.value).splitlines()


# --- which calls are meant -----------------------------------------------------------------------


def test_without_arguments_any_call_of_the_job_is_meant(queue: Queue, send: Job[..., None]) -> None:
    send.delay(7)
    send.delay(8)
    assert_type(queue.assert_enqueued(send), RecordedCall)
    assert queue.assert_enqueued(send) is queue.calls[0]
    queue.assert_enqueued(send, times=2)
    queue.assert_enqueued("mail.send", times=2)


def test_arguments_are_compared_as_the_job_gets_them(queue: Queue, send: Job[..., None]) -> None:
    send.delay(7, template="bye")
    queue.assert_enqueued(send, 7, "bye")
    queue.assert_enqueued(send, user=7, template="bye")
    queue.assert_not_enqueued(send, 7)
    send.delay(user=8)
    queue.assert_enqueued(send, 8)
    queue.assert_enqueued(send, 8, "welcome")
    queue.assert_enqueued(send, 8, fate="")
    queue.assert_not_enqueued(send, 8, fate="fail")


def test_any_stands_for_any_value(queue: Queue, send: Job[..., None]) -> None:
    send.delay(7, template="bye")
    queue.assert_enqueued(send, 7, ANY)
    queue.assert_enqueued(send, ANY, "bye")
    queue.assert_not_enqueued(send, 8, ANY)


def test_a_value_is_what_it_is_on_the_wire(queue: Queue, send: Job[..., None]) -> None:
    send.delay(UUID(int=7))
    assert queue.calls[0].args == (str(UUID(int=7)),)
    queue.assert_enqueued(send, UUID(int=7))
    queue.assert_enqueued(send, str(UUID(int=7)))
    send.options(key="k").delay((1, 2))
    queue.assert_enqueued(send, (1, 2))
    queue.assert_enqueued(send, [1, 2])
    queue.assert_not_enqueued(send, [1])
    queue.assert_not_enqueued(send, object())


def test_the_key_can_be_claimed(queue: Queue, send: Job[..., None]) -> None:
    send.delay(7)
    send.options(key="other").delay(8)
    queue.assert_enqueued(send, key="7", times=1)
    queue.assert_enqueued(send, key=7, times=1)
    queue.assert_enqueued(send, 8, key="other")
    queue.assert_not_enqueued(send, 8, key=8)
    queue.assert_not_enqueued(send, key=None)


def test_a_call_without_a_key(app: App, queue: Queue) -> None:
    @app.job
    def note() -> None: ...

    note.delay()
    queue.assert_enqueued(note, key=None)
    queue.assert_not_enqueued(note, key="7")


def test_calls_under_an_alias_are_the_jobs(app: App, queue: Queue, send: Job[..., None]) -> None:
    Job(lambda user: None, app, name="old.send").delay(7)
    assert queue.calls[0].job == "old.send"
    queue.assert_enqueued(send, 7)


def test_a_job_whose_parameters_are_called_like_ours(app: App, queue: Queue) -> None:
    @app.job
    def build(job: str, self: str) -> None: ...

    build.delay("a", "b")
    queue.assert_enqueued(build, job="a", self="b")
    queue.assert_not_enqueued(build, job="a", self="c")


def test_arguments_that_the_job_cannot_have_are_a_mistake(queue: Queue, send: Job[..., None]) -> None:
    with pytest.raises(
        ArgumentError, match=r"assert_enqueued\(\): mail.send got an unexpected argument 'usr'"
    ):
        queue.assert_enqueued(send, usr=7)
    with pytest.raises(ArgumentError, match="is missing 1 argument: user"):
        queue.assert_not_enqueued(send, template="bye")
    with pytest.raises(UnknownJob, match=r"no job 'mail.sent' is registered. Did you mean mail.send\?"):
        queue.assert_not_enqueued("mail.sent")
    with pytest.raises(ValueError, match="times=0: expected 1 or more"):
        queue.assert_enqueued(send, times=0)


# --- what became of them -------------------------------------------------------------------------


def test_claims_about_what_became_of_calls(queue: Queue, send: Job[..., None]) -> None:
    send.delay(1)
    send.delay(2, fate="discard")
    send.delay(3, fate="reject")
    send.delay(4, fate="fail")
    queue.drain()
    assert queue.assert_succeeded(send, times=1).args == (1,)
    assert queue.assert_dropped(send, times=1).args == (2,)
    assert_type(queue.assert_dead(send), DeadCall)
    assert queue.assert_dead(send).call.args == (3,)
    assert queue.assert_dead(send, 4, fate="fail").error is queue.dead[1].error
    assert queue.assert_dead(send, reason="retries-exhausted").call.args == (4,)
    assert queue.assert_dead(send, error=ValueError).call.args == (4,)
    assert queue.assert_dead(send, error="ValueError: bad").call.args == (4,)
    assert queue.assert_dead(send, error=Exception).call.args == (3,)
    assert queue.assert_dead(send, key=4).call.args == (4,)


def test_a_call_that_waits_has_not_succeeded(queue: Queue, send: Job[..., None]) -> None:
    send.delay(1)
    with pytest.raises(AssertionError) as error:
        queue.assert_succeeded(send)
    assert message_of(error) == [
        "mail.send: none succeeded, expected one or more. There were:",
        "  mail.send(1) key='1' on default, waiting",
    ]


# --- what a wrong claim says ---------------------------------------------------------------------


def test_nothing_was_enqueued(queue: Queue, send: Job[..., None]) -> None:
    with pytest.raises(AssertionError) as error:
        queue.assert_enqueued(send, 7, key="7")
    assert message_of(error) == [
        "mail.send(7) with key='7': none enqueued, expected one or more. Nothing was enqueued."
    ]


def test_other_calls_of_the_job_are_listed(app: App, queue: Queue, send: Job[..., None]) -> None:
    app.job(name="note")(lambda: None).delay()
    send.delay(8, template="bye")
    with pytest.raises(AssertionError) as error:
        queue.assert_enqueued(send, 7)
    assert message_of(error) == [
        "mail.send(7): none enqueued, expected one or more. There were:",
        "  mail.send(8, template='bye') key='8' on default, waiting",
    ]


def test_calls_of_other_jobs_are_listed_if_there_are_none_of_this_one(
    app: App, queue: Queue, send: Job[..., None]
) -> None:
    app.job(name="note", queue="notes")(lambda: None).delay()
    with pytest.raises(AssertionError) as error:
        queue.assert_enqueued(send, times=2)
    assert message_of(error) == [
        "mail.send: none enqueued, expected 2 times. There were:",
        "  note() on notes, waiting",
    ]


def test_the_number_is_told(queue: Queue, send: Job[..., None]) -> None:
    send.delay(7)
    send.delay(7)
    with pytest.raises(AssertionError, match=r"mail.send\(7\): enqueued 2 times, expected once. There were:"):
        queue.assert_enqueued(send, 7, times=1)
    with pytest.raises(AssertionError) as error:
        queue.assert_not_enqueued(send, 7)
    assert message_of(error)[0] == "mail.send(7) was enqueued 2 times, expected not at all. There were:"


def test_a_long_list_is_cut(queue: Queue, send: Job[..., None]) -> None:
    for n in range(25):
        send.delay(n)
    with pytest.raises(AssertionError) as error:
        queue.assert_enqueued(send, 99)
    assert len(message_of(error)) == 22
    assert message_of(error)[-1] == "  and 5 more"


def test_the_fate_of_calls_is_listed(queue: Queue, send: Job[..., None]) -> None:
    send.delay(1)
    send.delay(2, fate="discard")
    send.delay(3, fate="fail")
    send.options(delay="10s").delay(4)
    queue.drain(advance=False)
    send.delay(5)
    with pytest.raises(AssertionError) as error:
        queue.assert_dead(send, reason="rejected", error=KeyError)
    assert message_of(error) == [
        "mail.send is not dead for reason 'rejected' with error KeyError. There were:",
        "  mail.send(1) key='1' on default, succeeded after 1 attempt",
        "  mail.send(2, fate='discard') key='2' on default, dropped after 1 attempt (not wanted)",
        "  mail.send(3, fate='fail') key='3' on default, retrying after 1 attempt: ValueError: bad address",
        "  mail.send(4) key='4' on default, waiting",
        "  mail.send(5) key='5' on default, waiting",
    ]
    queue.drain()
    with pytest.raises(AssertionError) as error:
        queue.assert_dead(send, 3, error="no such text", fate="fail")
    assert (
        message_of(error)[0] == "mail.send(3, fate='fail') is not dead with error 'no such text'. There were:"
    )
    assert message_of(error)[3] == (
        "  mail.send(3, fate='fail') key='3' on default, dead after 2 attempts (retries-exhausted): "
        "ValueError: bad address"
    )


def test_a_reason_that_does_not_exist_is_a_mistake(queue: Queue, send: Job[..., None]) -> None:
    with pytest.raises(ValueError, match="reason='exhausted': expected one of retries-exhausted, deadline,"):
        queue.assert_dead(send, reason="exhausted")


def test_values_that_cannot_be_shown(app: App, queue: Queue) -> None:
    @app.job(name="note", retries=0)
    def note(text: str) -> None:
        class RudeError(Exception):
            def __str__(self) -> str:
                raise ValueError

        raise RudeError

    note.delay("x" * 200)
    queue.drain()
    [dead] = queue.dead
    assert str(dead) == (
        f"note('{'x' * 76}...), dead after 1 attempt (retries-exhausted): RudeError: <its __str__ raised>"
    )
    assert repr(dead) == f"<dead letter {dead}>"

    class Shy:
        def __repr__(self) -> str:
            raise ValueError

    with pytest.raises(AssertionError, match=r"note\(<Shy whose repr\(\) fails>\): none enqueued"):
        queue.assert_enqueued(note, Shy())
