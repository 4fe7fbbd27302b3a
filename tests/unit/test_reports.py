"""Delivery reports: taken by the sender that waits, else by the thread, and never by two at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from kjobs.kafka.reports import Reports
from tests.patience import until


class Client:
    """A client whose reports come when a test says so. ``takers``: the threads that took them."""

    def __init__(self) -> None:
        self._arrived: queue.Queue[Callable[[], None]] = queue.Queue()
        self._outstanding = 0
        self._counting = threading.Lock()
        self._inside = threading.Lock()
        self.takers: list[str] = []
        self.polled = threading.Event()

    def __len__(self) -> int:
        return self._outstanding

    def _count(self, more: int) -> None:
        with self._counting:
            self._outstanding += more

    def send(self) -> tuple[threading.Lock, Callable[[], None]]:
        """A record on its way: the lock that its report releases, and what makes the report arrive."""
        self._count(1)
        known = threading.Lock()
        known.acquire()
        return known, lambda: self.arrive(known.release)

    def arrive(self, report: Callable[[], None]) -> None:
        """A report comes, and does this when it is taken."""
        self._arrived.put(report)

    def poll(self, timeout: float) -> None:
        assert self._inside.acquire(blocking=False), "two threads take reports"
        self.polled.set()
        try:
            report = self._arrived.get(timeout=timeout) if timeout else self._arrived.get_nowait()
        except queue.Empty:
            return
        else:
            report()
            self._count(-1)
            self.takers.append(threading.current_thread().name)
        finally:
            self._inside.release()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def reports(client: Client) -> Iterator[Reports]:
    made = Reports(client)
    yield made
    made.close(0.0)


def test_who_waits_takes_the_report(client: Client, reports: Reports) -> None:
    known, arrive = client.send()
    arrive()
    assert reports.wait(known, 5.0)
    assert client.takers == [threading.current_thread().name]


def test_what_nobody_waits_for_is_taken_by_the_thread(client: Client, reports: Reports) -> None:
    known, arrive = client.send()
    reports.expect()
    arrive()
    until(lambda: known.acquire(blocking=False), "the report")
    assert client.takers == ["kjobs-delivery"]


def test_a_sender_beside_one_that_takes_reports_is_told_by_it(client: Client, reports: Reports) -> None:
    mine, mine_arrives = client.send()
    other, other_arrives = client.send()
    client.polled.clear()
    waiting = threading.Thread(target=lambda: reports.wait(mine, 5.0), name="leader")
    waiting.start()
    client.polled.wait(5.0)
    other_arrives()
    assert reports.wait(other, 5.0)
    mine_arrives()
    waiting.join(5.0)
    assert not waiting.is_alive()
    assert len(client.takers) == 2


def test_who_came_while_another_took_reports_is_not_forgotten_when_that_one_is_done(
    client: Client, reports: Reports
) -> None:
    first, first_arrives = client.send()
    second, second_arrives = client.send()
    client.polled.clear()
    leader = threading.Thread(target=lambda: reports.wait(first, 5.0), name="leader")
    leader.start()
    client.polled.wait(5.0)
    found: list[bool] = []
    follower = threading.Thread(target=lambda: found.append(reports.wait(second, 5.0)), name="follower")
    follower.start()
    first_arrives()
    leader.join(5.0)
    second_arrives()
    follower.join(5.0)
    assert found == [True]


def test_a_report_that_does_not_come_in_time_is_taken_later(client: Client, reports: Reports) -> None:
    known, arrive = client.send()
    assert not reports.wait(known, 0.01)
    arrive()
    until(lambda: known.acquire(blocking=False), "the late report")


def test_a_sender_that_is_interrupted_leaves_the_reports_to_others(client: Client, reports: Reports) -> None:
    class Interrupted(Exception):
        pass

    def interrupt() -> None:
        raise Interrupted

    client.send()
    client.arrive(interrupt)
    known, arrive = client.send()
    with pytest.raises(Interrupted):
        reports.wait(known, 5.0)
    arrive()
    until(lambda: known.acquire(blocking=False), "the report")


def test_time_that_is_over_before_the_wait_is_no_wait(client: Client, reports: Reports) -> None:
    known, _ = client.send()
    assert not reports.wait(known, -1.0)


def test_many_senders_are_all_told(client: Client, reports: Reports) -> None:
    told: list[bool] = []

    def send() -> None:
        for _ in range(200):
            known, arrive = client.send()
            arrive()
            told.append(reports.wait(known, 20.0))

    senders = [threading.Thread(target=send) for _ in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(30.0)
    assert told == [True] * 1200


def test_closing_waits_for_what_is_due_and_tells_what_did_not_come(client: Client) -> None:
    reports = Reports(client)
    known, arrive = client.send()
    client.send()
    arrive()
    assert reports.close(0.2) == 1
    assert known.acquire(blocking=False)
