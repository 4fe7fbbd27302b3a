"""Hot keys as people read them: whatever the bytes of a key are."""

from __future__ import annotations

import time

import pytest

from kjobs.core.hotkeys import HotKey
from kjobs.worker.crowds import crowds, line, remark
from kjobs.worker.facts import shown_key


def hot(key: bytes = b"42", waiting: int = 100, *, running: bool = True, parked: bool = False) -> HotKey:
    since_ms = int((time.time() - 60) * 1000)
    return HotKey(("kjobs.mail", 3), key, waiting, since_ms, running, parked)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (b"user-42", "user-42"),
        ("Zoë 人".encode(), "Zoë 人"),
        (b"", ""),
        (b"\xff\xfe7", "\\xff\\xfe7"),
        (b"a\nERROR b", "a\\nERROR b"),
        (b"\x1b[31m", "\\x1b[31m"),
        (b"x" * 101, "x" * 100 + "…"),
        (b"x" * 100, "x" * 100),
        ("\U0001f600".encode() * 101, "\U0001f600" * 100 + "…"),
        ("人".encode() * 1_000_000, "人" * 100 + "…"),
    ],
)
def test_any_key_can_be_shown(key: bytes, shown: str) -> None:
    assert shown_key(key) == shown
    assert shown_key(key).isprintable()


def test_a_hot_key_has_its_place_and_its_age() -> None:
    (crowd,) = crowds([hot(parked=True)])
    assert (crowd.key, crowd.topic, crowd.partition, crowd.waiting) == ("42", "kjobs.mail", 3, 100)
    assert crowd.age == pytest.approx(60, abs=2)
    assert (crowd.running, crowd.parked) == (True, True)


def test_a_clock_that_is_behind_makes_no_negative_age() -> None:
    future = HotKey(("q", 0), b"k", 50, int((time.time() + 60) * 1000), running=True, parked=False)
    assert crowds([future])[0].age == 0


@pytest.mark.parametrize(("held", "said"), [(400, True), (401, False)])
def test_the_summary_tells_of_a_key_with_a_large_share(held: int, said: bool) -> None:
    words = remark(crowds([hot(), hot(b"other", 50)]), held)
    assert words == ("; 100 of them have key '42' (kjobs.mail[3])" if said else "")


def test_without_hot_keys_nothing_is_said() -> None:
    assert remark((), 10) == ""


def test_a_dump_tells_whether_anything_of_it_runs() -> None:
    running, waiting = crowds([hot(), hot(running=False, parked=True)])
    assert line(running).startswith("kjobs.mail[3] key='42': 100 calls, the oldest waits ")
    assert line(running).endswith("; its first one runs")
    assert line(waiting).endswith("; none of them runs, more are in the deferred store")
