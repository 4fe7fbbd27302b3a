"""Names of queues and topics, and what topics are like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.topics import DEAD_LETTER_ALLOWANCE, Names, check_queue

DAY_MS = 86_400_000


def test_the_names_of_topics() -> None:
    names = Names("shop")
    assert (names.queue("mail"), names.dead("mail")) == ("shop.mail", "shop.mail.dead")
    assert names.delayed("mail") == "shop.mail.delayed"
    assert Names().queue("mail") == "kjobs.mail"


@given(
    st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
)
def test_a_queue_is_found_again_by_its_topic(prefix: str, queue: str) -> None:
    try:
        check_queue(queue)
    except ValueError:
        return
    names = Names(prefix)
    assert names.queue_of(names.queue(queue)) == queue
    assert names.queue_of(names.dead(queue)) == names.queue_of(names.delayed(queue)) == queue
    assert names.is_dead(names.dead(queue))
    assert names.is_delayed(names.delayed(queue))
    assert not names.is_dead(names.queue(queue))
    assert not names.is_delayed(names.queue(queue))
    assert not names.is_dead(names.delayed(queue))
    assert not names.is_delayed(names.dead(queue))
    assert len({names.queue(queue), names.delayed(queue), names.dead(queue)}) == 3


def test_other_prefixes_companions_are_not_ours() -> None:
    assert not Names("shop").is_delayed("kjobs.mail.delayed")
    assert not Names("shop").is_delayed("shop2.mail.delayed")
    assert not Names("shop").is_dead("kjobs.mail.dead")
    assert not Names("shop").is_dead("shop2.mail.dead")


@pytest.mark.parametrize("queue", ["default", "mail", "Mail-2_x.y", "a", "dead", "delayed", "control.x", "0"])
def test_names_that_are_allowed(queue: str) -> None:
    assert check_queue(queue) == queue


@pytest.mark.parametrize(
    ("queue", "sentence"),
    [
        ("", "letters, digits"),
        ("a b", "letters, digits"),
        ("a/b", "letters, digits"),
        ("a\r\nb", "letters, digits"),
        ("mail\n", "letters, digits"),
        ("grün", "letters, digits"),
        ("a,b", "letters, digits"),
        (None, "letters, digits"),
        (7, "letters, digits"),
        ("mail.dead", "belong to companion topics"),
        ("mail.delayed", "belong to companion topics"),
        ("control", "belongs to the control topic"),
    ],
)
def test_names_that_are_not_allowed(queue: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        check_queue(queue)
    assert repr(queue) in str(caught.value)
    with pytest.raises(ValueError, match=sentence):
        Names().check(queue)


def test_every_topic_of_a_queue_must_have_a_name_that_kafka_allows() -> None:
    longest = "q" * (249 - len("kjobs.") - len(".delayed"))
    assert Names().check(longest) == longest
    with pytest.raises(ValueError, match="would have 250 characters; Kafka allows 249"):
        Names().check(longest + "q")
    with pytest.raises(ValueError, match="Kafka allows 249"):
        Names("p" * 100).check(longest)


def test_what_the_topics_of_a_queue_are_like() -> None:
    calls, delayed, dead = Names("shop").topics("mail", 12, 1000)
    assert (calls.name, calls.partitions) == ("shop.mail", 12)
    assert (delayed.name, delayed.partitions) == ("shop.mail.delayed", 12)
    assert (dead.name, dead.partitions) == ("shop.mail.dead", 12)
    assert calls.config["cleanup.policy"] == dead.config["cleanup.policy"] == "delete"
    assert calls.config["retention.ms"] == str(7 * DAY_MS)
    assert dead.config["retention.ms"] == str(30 * DAY_MS)


def test_the_log_of_delayed_calls_forgets_only_what_has_ended() -> None:
    delayed = Names().topics("mail", 12, 1000)[1].config
    assert delayed["cleanup.policy"] == "compact", "a call that is delayed by a year is there after a year"
    assert "retention.ms" not in delayed
    assert delayed["min.compaction.lag.ms"] == str(60 * 60 * 1000)
    assert delayed["delete.retention.ms"] == str(7 * DAY_MS)
    assert delayed["message.timestamp.type"] == "LogAppendTime", "clocks are compared with the broker's"


@given(st.integers(1, 10**8))
def test_the_largest_call_can_be_deferred_and_buried_with_all_its_headers(largest: int) -> None:
    calls, delayed, dead = (int(t.config["max.message.bytes"]) for t in Names().topics("q", 1, largest))
    assert calls > largest
    assert delayed >= calls + DEAD_LETTER_ALLOWANCE
    assert dead >= calls + DEAD_LETTER_ALLOWANCE
