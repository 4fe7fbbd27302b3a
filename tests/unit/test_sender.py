"""The sender to Kafka, without a Kafka: what is refused before anything is sent, and what it costs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from kjobs import App, BatchError, CallTooLarge, EnqueueError, KjobsError, OutcomeUnknown
from kjobs.errors import EnqueueRefused, QueueFull, UnknownQueue
from kjobs.job import Job
from kjobs.sender import KafkaSender

#: A port at which nothing listens: whoever tries to send fails by waiting.
NOWHERE = "127.0.0.1:1"


def small(**settings: Any) -> tuple[App, Job[[str], None]]:
    app = App(bootstrap_servers=NOWHERE, max_size=1000, enqueue_timeout=0.2, **settings)

    @app.job(name="mail.send")
    def send(text: str) -> None: ...

    return app, send


def producer_of(app: App) -> object:
    assert isinstance(app.sender, KafkaSender)
    return app.sender._producer


@pytest.mark.parametrize(
    "enqueue",
    [
        lambda job, text: job.delay(text),
        lambda job, text: asyncio.run(job.adelay(text)),
        lambda job, text: job.options(ack="none").delay(text),
        lambda job, text: asyncio.run(job.options(ack="none").adelay(text)),
        lambda job, text: job.options(key="k", headers={"a": "b"}).delay(text),
    ],
    ids=["delay", "adelay", "ack none", "adelay ack none", "options"],
)
def test_a_call_that_is_too_large_is_refused_before_anything_is_sent(
    enqueue: Callable[[Any, str], Any],
) -> None:
    app, send = small()
    with pytest.raises(CallTooLarge) as caught:
        enqueue(send, "x" * 1000)
    error = caught.value
    assert producer_of(app) is None, "no connection was opened for it"
    assert error.definite
    assert len(error.call_id) == 32
    sentence = str(error)
    assert sentence.startswith("mail.send.delay(): the call has 1,")
    assert "max_size allows 1,000" in sentence
    assert "It is not enqueued" in sentence
    assert "reference to large data" in sentence


def test_the_limit_is_exact_and_counts_what_is_on_the_wire() -> None:
    app, send = small()
    (empty,) = composed(send, "")
    room = 1000 - empty
    assert composed(send, "x" * room) == [1000]
    sender = app.sender
    assert isinstance(sender, KafkaSender)
    with app.batch() as batch:
        send.delay("x" * room)
        send.delay("ü" * (room // 2))
        with pytest.raises(CallTooLarge):
            send.delay("x" * (room + 1))
        with pytest.raises(CallTooLarge):
            send.delay("ü" * (room // 2 + 1))
        sizes = [len(call.value) for call in batch.calls]  # type: ignore[attr-defined]
        batch.calls.clear()  # type: ignore[attr-defined]
    assert sizes == [1000, empty + 2 * (room // 2)]


def composed(job: Job[[str], None], *texts: str) -> list[int]:
    """The sizes of calls with these arguments."""
    from kjobs.job import Options

    return [len(job.compose((text,), {}, Options()).value) for text in texts]


def test_a_batch_sends_nothing_if_its_block_raises() -> None:
    app, send = small()
    with pytest.raises(ZeroDivisionError), app.batch():
        send.delay("x")
        _ = 1 / 0
    assert producer_of(app) is None


def test_a_batch_that_is_empty_opens_nothing() -> None:
    app, _ = small()
    with app.batch():
        pass
    assert producer_of(app) is None


def test_a_batch_is_its_threads_own() -> None:
    app, send = small()
    seen: list[BaseException] = []

    def elsewhere() -> None:
        try:
            send.delay("x")
        except EnqueueError as error:
            seen.append(error)

    with pytest.raises(ZeroDivisionError), app.batch() as batch:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(timeout=30)
        assert batch.calls == []  # type: ignore[attr-defined]
        _ = 1 / 0
    assert len(seen) == 1, "it was sent at once, and there is no Kafka"
    app.close()


def test_batches_inside_batches_are_sent_on_their_own() -> None:
    app, send = small()
    with pytest.raises(ZeroDivisionError), app.batch() as outer:
        with pytest.raises(KeyError), app.batch() as inner:
            send.delay("inner")
            assert len(inner.calls) == 1  # type: ignore[attr-defined]
            raise KeyError
        send.delay("outer")
        assert len(outer.calls) == 1  # type: ignore[attr-defined]
        _ = 1 / 0
    assert producer_of(app) is None


def test_without_a_kafka_a_call_is_refused_within_its_timeout_and_known_not_to_be_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "kjobs.kafka")
    app, send = small()
    with pytest.raises(EnqueueRefused, match=rf"Kafka at {NOWHERE} cannot be reached") as caught:
        send.delay("x")
    assert caught.value.definite
    with pytest.raises(BatchError) as together:
        send.delay_many([("x",), ("y" * 1000,), ("z",)])
    error = together.value
    assert [(position, type(reason)) for position, reason in error.failures] == [
        (0, EnqueueRefused),
        (1, CallTooLarge),
        (2, EnqueueRefused),
    ]
    assert "3 of 3 calls were not enqueued; call 0: " in str(error)
    assert [handle.offset for handle in error.handles] == [None] * 3
    assert error.definite
    app.close()


def test_a_batch_is_sent_at_its_end_and_what_failed_is_told_there() -> None:
    app, send = small()
    began = []
    with pytest.raises(BatchError) as caught, app.batch():
        handle = send.delay("x")
        began.append(handle)
        began.append(asyncio.run(send.adelay("y")))
        began += send.delay_many([("z",), ("z",)])
        began.append(send.options(ack="none").delay("w"))
        assert [handle.offset for handle in began] == [None] * 5
        assert producer_of(app) is None, "nothing is sent before the end"
    assert caught.value.handles == began
    assert [position for position, _ in caught.value.failures] == [0, 1, 2, 3, 4]
    app.close()


def test_only_a_definite_failure_may_be_repeated_without_the_risk_of_two() -> None:
    for kind in (CallTooLarge, UnknownQueue, EnqueueRefused, QueueFull):
        assert issubclass(kind, EnqueueError)
        assert issubclass(kind, KjobsError)
        assert kind("x", call_id="i").definite
    unknown = OutcomeUnknown("x", call_id="i")
    assert not unknown.definite
    mixed = BatchError([(0, CallTooLarge("big")), (3, unknown)], [None] * 5)
    assert not mixed.definite
    assert (mixed.call_id, len(mixed.failures), len(mixed.handles)) == ("", 2, 5)
    assert BatchError([(0, CallTooLarge("big"))], [None]).definite


def test_a_closed_sender_can_be_closed_again() -> None:
    app, _ = small()
    app.close()
    app.close()
