"""The guard on a real embedded broker: without it calls vanish, with it they wait."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from kjobs.errors import CallTooLarge, EmbeddedBrokerError
from kjobs.kafka.embedded import EmbeddedBroker
from kjobs.kafka.embedded.accounts import LARGEST, OVERHEAD, ROOM
from kjobs.kafka.embedded.guard import EmbeddedGuard
from tests.embedded.conftest import PATIENCE
from tests.embedded.sender import GROUP, GuardedSender

#: What a mock cluster keeps of a partition; librdkafka's own number.
KEPT = 5 * 1024 * 1024

#: Random, so that nothing could compress it.
VALUE = random.Random(1).randbytes(1000)


@pytest.fixture
def sender(broker: EmbeddedBroker) -> Iterator[GuardedSender]:
    """Sends to the topic ``t`` of three partitions."""
    broker.create_topic("t", 3)
    guarded = GuardedSender(broker.bootstrap, "t")
    yield guarded
    guarded.close()


@pytest.fixture
def worker(broker: EmbeddedBroker, consumer: Callable[..., Consumer]) -> Consumer:
    """A consumer of the group that the guard looks at, without a membership."""
    return consumer(GROUP, "classic")


def bounds(client: Consumer, partition: int) -> tuple[int, int]:
    """The first offset that is still there, and the next one to be given."""
    found = client.get_watermark_offsets(TopicPartition("t", partition), timeout=PATIENCE, cached=False)
    assert found is not None
    return found


def commit(client: Consumer, *offsets: int) -> None:
    places = [TopicPartition("t", partition, offset) for partition, offset in enumerate(offsets)]
    client.commit(offsets=places, asynchronous=False)


def fill(sender: GuardedSender, key: bytes = b"k") -> int:
    """Send to one key, so to one partition, until refused; return how many were admitted."""
    before = sender.sent
    while admitted_soon(lambda: sender.send(VALUE, key)):
        pass
    sender.wait()
    # What was granted beyond what was sent is of use yet.
    while admitted_soon(lambda: sender.send(VALUE, key)):
        sender.wait()
    return sender.sent - before


def admitted_soon(ask: Callable[[], bool]) -> bool:
    """Ask until it is granted, longer than a refusal stands."""
    deadline = time.monotonic() + 0.05
    while not (granted := ask()) and time.monotonic() < deadline:
        time.sleep(0.002)
    return granted


def partition_of(client: Consumer, topic_partitions: int = 3) -> int:
    """The only partition that holds anything."""
    (filled,) = [number for number in range(topic_partitions) if bounds(client, number)[1]]
    return filled


def test_without_a_guard_records_vanish(broker: EmbeddedBroker, producer: Producer, worker: Consumer) -> None:
    broker.create_topic("t", 1)
    for _ in range(2 * KEPT // len(VALUE)):
        producer.produce("t", VALUE, partition=0)
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0
    low, high = bounds(worker, 0)
    assert high == 2 * KEPT // len(VALUE)
    assert low > high // 3  # nobody consumed any of them


def test_a_full_partition_admits_nothing_and_loses_nothing(sender: GuardedSender, worker: Consumer) -> None:
    admitted = fill(sender)
    filled = partition_of(worker)
    assert bounds(worker, filled) == (0, admitted)
    size = len(VALUE) + len(b"k") + OVERHEAD
    assert ROOM - size < admitted * size <= ROOM


def test_what_is_consumed_makes_room_for_as_much(sender: GuardedSender, worker: Consumer) -> None:
    admitted = fill(sender)
    filled = partition_of(worker)
    done = 0
    for _ in range(6):
        done += admitted // 3
        commit(worker, *(done if number == filled else 0 for number in range(3)))
        # Reports are of a few dozen records each; one counts until its last is consumed.
        assert admitted // 3 - 100 < fill(sender) < admitted // 3 + 100
        low, high = bounds(worker, filled)
        assert low <= done  # nothing unconsumed was dropped
    assert low > 0  # and the log did run over meanwhile
    assert high == sender.sent
    commit(worker, *(high if number == filled else 0 for number in range(3)))
    assert fill(sender) > admitted - 100


def test_every_record_that_was_admitted_can_be_consumed(sender: GuardedSender, worker: Consumer) -> None:
    worker.assign([TopicPartition("t", number, 0) for number in range(3)])
    numbers = random.Random(2)
    position = [0, 0, 0]
    seen: list[int] = []
    sent = 0
    while sent < 12_000:  # 12 MB, more than the broker keeps of all partitions together
        if sender.send(b"%d " % sent + VALUE, b"%d" % numbers.randrange(5)):
            sent += 1
            continue
        for message in worker.consume(500, timeout=0.2):
            if message.error() is None:
                seen.append(int(message.value().split()[0]))
                position[message.partition()] = message.offset() + 1
        commit(worker, *position)
    sender.wait()
    while len(seen) < sent:
        messages = [message for message in worker.consume(500, timeout=0.2) if message.error() is None]
        assert messages, f"{sent - len(seen)} of {sent} records are gone"
        seen += [int(message.value().split()[0]) for message in messages]
    assert sorted(seen) == list(range(sent))


def test_several_processes_of_different_habits_fill_it_without_a_loss(
    broker: EmbeddedBroker, worker: Consumer
) -> None:
    broker.create_topic("t", 2)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.embedded.sender", broker.bootstrap, "t", str(largest), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, largest in enumerate([400, 20_000, 200_000])
    ]
    pipes = [(process.stdin, process.stdout) for process in processes]
    assert [output.readline() for _, output in pipes if output] == ["ready\n"] * 3
    for give, _ in pipes:
        assert give is not None
        print("go", file=give, flush=True)
    sent = [int(process.communicate(timeout=20)[0]) for process in processes]
    assert all(sent)
    ends = [bounds(worker, number) for number in range(2)]
    assert [low for low, _ in ends] == [0, 0]
    assert sum(high for _, high in ends) == sum(sent)


def test_a_killed_process_leaves_its_claim_until_all_is_consumed(
    broker: EmbeddedBroker, sender: GuardedSender, worker: Consumer
) -> None:
    script = (
        "import sys\n"
        "from kjobs.kafka.embedded.guard import EmbeddedGuard\n"
        "guard = EmbeddedGuard(sys.argv[1], lambda topic: ['workers'])\n"
        "assert all(guard.admit('t', 900_000) for _ in range(3))\n"
        "print('claimed', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, broker.bootstrap],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=PATIENCE)
    admitted = fill(sender)
    assert admitted < (ROOM - 2_700_000) / len(VALUE)
    high = bounds(worker, partition_of(worker))[1]
    commit(worker, *(high if number == partition_of(worker) else 0 for number in range(3)))
    assert fill(sender) > ROOM / len(VALUE) * 0.8


def test_a_process_that_ends_well_leaves_nothing_claimed(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", 1)
    for _ in range(20):
        short = GuardedSender(broker.bootstrap, "t")
        assert short.send(b"x" * 100_000, b"k")
        short.close()
    last = GuardedSender(broker.bootstrap, "t")
    assert fill(last) > (ROOM - 20 * 100_200) / (len(VALUE) + OVERHEAD) - 2
    last.close()


def test_a_burst_of_a_process_that_is_idle_now_is_counted_where_it_is(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", 3)
    idle = EmbeddedGuard(broker.bootstrap, lambda topic: [GROUP])
    another = EmbeddedGuard(broker.bootstrap, lambda topic: [GROUP])
    assert all(idle.admit("t", 20_000) for _ in range(180))
    # Under way, all of it might be in any partition.
    assert not another.admit("t", 900_000)
    for number in range(180):
        idle.settled("t", 20_000, partition=number % 3, offset=number // 3)
    # Now a third of it is known to be in each.
    assert admitted_soon(lambda: another.admit("t", 900_000))
    assert another.admit("t", 900_000)
    another.close()
    idle.close()


def test_records_that_were_not_sent_after_all_take_no_room(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", 1)
    guard = EmbeddedGuard(broker.bootstrap, lambda topic: [GROUP])
    for _ in range(1000):
        assert guard.admit("t", 100_000)
        guard.settled("t", 100_000, -1, -1)
    assert all(guard.admit("t", 100_000) for _ in range(40))
    for _ in range(40):
        guard.settled("t", 100_000, -1, -1)
    another = EmbeddedGuard(broker.bootstrap, lambda topic: [GROUP])
    assert all(another.admit("t", 100_000) for _ in range(40))
    another.close()
    guard.close()


def test_a_record_too_large_to_be_kept_safely_is_refused(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", 1)
    guard = EmbeddedGuard(broker.bootstrap, lambda topic: [GROUP])
    assert guard.admit("t", LARGEST - OVERHEAD)
    with pytest.raises(CallTooLarge, match=r"a call of 999,905 bytes for t .* at most 999,904 bytes"):
        guard.admit("t", LARGEST - OVERHEAD + 1)
    guard.close()


def test_a_topic_that_nobody_finishes_is_not_guarded(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", 1)
    guard = EmbeddedGuard(broker.bootstrap, lambda topic: [])
    assert all(guard.admit("t", 1_000_000) for _ in range(100))
    guard.settled("t", 1_000_000, 0, 0)
    guard.close()


def test_what_is_more_urgent_is_let_in_when_others_are_refused(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", 1)
    guard = EmbeddedGuard(broker.bootstrap, lambda topic: [GROUP], lambda topic: 1_000_000)
    size = 50_000 + OVERHEAD
    admitted = 0
    for spare in (None, 500_000, 0):
        # At once, though the others were just refused.
        while guard.admit("t", 50_000, spare) or admitted_soon(
            lambda spare=spare: guard.admit("t", 50_000, spare)
        ):
            admitted += 1
        left = ROOM - admitted * size
        assert 0 <= left - (1_000_000 if spare is None else spare) < size
    guard.close()


def test_the_slowest_group_decides(broker: EmbeddedBroker, consumer: Callable[..., Consumer]) -> None:
    broker.create_topic("t", 1)
    guard = EmbeddedGuard(broker.bootstrap, lambda topic: ["quick", "slow"])
    sizes = [900_000] * 4
    for offset, size in enumerate(sizes):
        assert guard.admit("t", size)
        guard.settled("t", size, 0, offset)
    assert not guard.admit("t", 900_000)
    commit(consumer("quick", "classic"), 4)
    assert not admitted_soon(lambda: guard.admit("t", 900_000))
    commit(consumer("slow", "classic"), 4)
    assert admitted_soon(lambda: guard.admit("t", 900_000))
    guard.close()


def test_a_broker_that_is_gone_is_told() -> None:
    with EmbeddedBroker() as broker:
        broker.create_topic("t", 1)
        guard = EmbeddedGuard(broker.bootstrap, lambda topic: [GROUP])
        assert guard.admit("t", 1)
    with pytest.raises(EmbeddedBrokerError, match=r"does not answer.*Start it again"):
        guard.admit("t", 500_000)
    guard.close()


def test_a_broker_that_was_started_again_is_found_again(free_port: int) -> None:
    guard = EmbeddedGuard(f"127.0.0.1:{free_port}", lambda topic: [GROUP])
    with EmbeddedBroker(free_port) as broker:
        broker.create_topic("t", 1)
        assert guard.admit("t", 10)
    with EmbeddedBroker(free_port) as broker:
        broker.create_topic("t", 1)
        guard.settled("t", 10, -1, -1)
        with pytest.raises(EmbeddedBrokerError, match="does not answer"):
            guard.admit("t", 500_000)
        assert guard.admit("t", 500_000)
    guard.close()


def test_a_broker_that_is_down_refuses_rather_than_risks(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", 1)
    guard = EmbeddedGuard(broker.bootstrap, lambda topic: [GROUP])
    while guard.admit("t", 100_000):
        pass
    broker.set_broker_down()
    assert not admitted_soon(lambda: guard.admit("t", 100_000))
    broker.set_broker_up()
    guard.close()
