"""A process that sends calls of random sizes to an embedded broker through a guard, and tells how many.

    python -m tests.embedded.sender BOOTSTRAP TOPIC LARGEST SEED

It sends until the guard has refused for a while, or for ever if nothing ever fills.
"""

from __future__ import annotations

import random
import sys
import threading
import time

from confluent_kafka import KafkaError, Message, Producer

from kjobs.kafka.embedded.guard import EmbeddedGuard

#: The group that the tests consume with.
GROUP = "workers"


class GuardedSender:
    """A producer behind a guard, as kjobs has it."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.guard = EmbeddedGuard(bootstrap, lambda topic: [GROUP])
        self.topic = topic
        self.sent = 0
        self._settled = 0
        self._client = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "log_level": 0})
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def send(self, value: bytes, key: bytes) -> bool:
        """Hand one record to the client, if it is admitted."""
        size = len(value) + len(key)
        if not self.guard.admit(self.topic, size):
            return False

        def settled(error: KafkaError | None, message: Message) -> None:
            self.guard.settled(self.topic, size, -1 if error else message.partition(), message.offset())
            self._settled += 1

        self._client.produce(self.topic, value, key, on_delivery=settled)
        self.sent += 1
        return True

    def wait(self) -> None:
        """Until everything is acknowledged; in order, so not with a flush beside the polling thread."""
        deadline = time.monotonic() + 10
        while self._settled < self.sent:
            assert time.monotonic() < deadline, f"{self.sent - self._settled} records are not acknowledged"
            time.sleep(0.001)

    def close(self) -> None:
        self.wait()
        self._end.set()
        self._thread.join()
        self.guard.close()

    def _serve(self) -> None:
        while not self._end.is_set():
            self._client.poll(0.01)


def main() -> None:
    """Send until refused for a fifth of a second."""
    bootstrap, topic, largest, seed = sys.argv[1:]
    sizes = random.Random(int(seed))
    sender = GuardedSender(bootstrap, topic)
    print("ready", flush=True)
    sys.stdin.readline()
    refused_since = None
    while True:
        size = sizes.randint(1, int(largest))
        if sender.send(sizes.randbytes(size), b"%d" % sizes.randrange(1000)):
            refused_since = None
            continue
        refused_since = refused_since or time.monotonic()
        if time.monotonic() - refused_since > 0.2:
            break
        time.sleep(0.005)
    sender.close()
    print(sender.sent, flush=True)


if __name__ == "__main__":
    main()
