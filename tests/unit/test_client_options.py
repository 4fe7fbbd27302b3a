"""Options that workers are given do no harm to clients that are no members of a group."""

from __future__ import annotations

from confluent_kafka import Consumer

from kjobs.kafka.client import reader_options


def test_a_reader_can_be_made_whatever_poll_interval_workers_have() -> None:
    """The client refuses one that is shorter than the session timeout, which is 45 s by default."""
    Consumer(reader_options("127.0.0.1:1", {"max.poll.interval.ms": "6000"})).close()


def test_other_options_of_the_user_are_kept() -> None:
    assert reader_options("127.0.0.1:1", {"client.id": "shop"})["client.id"] == "shop"
