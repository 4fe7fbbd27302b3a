"""The embedded broker: librdkafka's mock cluster, run by this process for any process of this machine.

It speaks Kafka's protocol over TCP, so everything else is as with a real Kafka. But it keeps everything in
memory, loses it when this process ends, drops what does not fit (see :mod:`.guard`), and knows
neither compaction nor retention, nor transactions that mean anything. For demos, development and tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError

from ...errors import EmbeddedBrokerError
from .accounts import Accounts, Report
from .control import RACK, Control
from .librdkafka import PRODUCER, load
from .loopback import LOOPBACK
from .reader import OffsetReader
from .server import EmbeddedServer

#: The id of the only broker.
_BROKER = 1

#: Members of KIP-848 groups learn of their partitions with a heartbeat, so these decide how fast a join is;
#: and how soon a dead member's partitions move. Classic members bring their own.
_HEARTBEAT_MS = 100
_SESSION_TIMEOUT_MS = 6_000

#: Seconds after which a call to the mock cluster is taken for one whose wake-up was lost.
_NUDGE_AFTER = 0.005

#: librdkafka aborts the process for a topic that it cannot make.
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_MOST_PARTITIONS = 10_000


class Api(enum.IntEnum):
    """Requests of Kafka's protocol that errors can be injected into, by their number in the protocol."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    CONSUMER_GROUP_HEARTBEAT = 68


class EmbeddedBroker:
    """A broker in this process, while started.

    It must be stopped by the process that started it. A process that is forked from this one inherits its
    sockets, which keeps its ports open and silent after it ended: start the broker after forking, or start
    other processes by spawning.

    Args:
        port: the port of 127.0.0.1 where it is to be found; if None, the system chooses one.
    """

    def __init__(self, port: int | None = None) -> None:
        if port is not None and not 0 < port < 65536:
            raise EmbeddedBrokerError(
                f"the embedded broker cannot listen on port {port}: ports are 1 to 65535."
            )
        self._port = port
        self._library: ctypes.CDLL | None = None
        self._client: int | None = None
        self._cluster: int | None = None
        self._inner = 0
        self._bootstrap = ""
        self._owner = 0
        self._accounts: Accounts | None = None
        self._server: EmbeddedServer | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients' ``bootstrap.servers``; "" while it is not started."""
        return self._bootstrap

    def start(self) -> Self:
        """Start, empty.

        Raises:
            EmbeddedBrokerError: the installed confluent-kafka has no mock cluster; or the port is taken.
        """
        if self._cluster is not None:
            raise EmbeddedBrokerError(f"the embedded broker at {self._bootstrap} is started already.")
        self._library = library = load()
        self._owner = os.getpid()
        self._client = _new_client(library)
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if self._cluster is None:
            self.stop()
            raise EmbeddedBrokerError("the embedded broker cannot start: librdkafka made no mock cluster.")
        address = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self._inner = int(address.rpartition(":")[2])
        self._accounts = Accounts(OffsetReader(f"{LOOPBACK}:{self._inner}"))
        self._server = EmbeddedServer(self._inner, self._port, self._answer, self._gone)
        try:
            control = self._server.start()
        except OSError as error:
            self.stop()
            raise EmbeddedBrokerError(
                f"the embedded broker cannot listen on {LOOPBACK}:{self._port}: {error.strerror or error}. "
                "Another broker may be running there already; stop it, or choose another port."
            ) from None
        self._configure(control)
        self._bootstrap = f"{LOOPBACK}:{self._port or self._inner}"
        return self

    def _configure(self, control: int) -> None:
        # Without a controller, clients wait for one before they say that a request is not supported, and
        # do not ask for the ids of topics, which the mock does know.
        self._call("set_controller_id", _BROKER)
        self._call("group_initial_rebalance_delay_ms", 0)
        self._call("set_group_consumer_heartbeat_interval_ms", _HEARTBEAT_MS)
        self._call("set_group_consumer_session_timeout_ms", _SESSION_TIMEOUT_MS)
        self._call("broker_set_rack", _BROKER, f"{RACK}{control}".encode())
        if self._port is not None:
            self._call("broker_set_host_port", _BROKER, LOOPBACK.encode(), self._port)

    def stop(self) -> None:
        """Stop, and lose everything. Does nothing if it is not started, or was by another process."""
        if self._owner != os.getpid() or self._library is None:
            return
        if self._server is not None:
            self._server.stop()
            self._server = None
        self._accounts = None
        # The order is librdkafka's: it aborts the process if a client with a mock cluster is destroyed.
        if self._cluster is not None:
            self._call("cluster_destroy")
            self._cluster = None
        if self._client is not None:
            self._library.rd_kafka_destroy(self._client)
            self._client = None
        self._bootstrap = ""

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    # --- topics ------------------------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int) -> bool:
        """Create a topic, from this process; :func:`create_topics` does it from any.

        Returns whether it was created: False if there was one already, which is left as it is.

        Raises:
            EmbeddedBrokerError: it cannot have this name, or this number of partitions.
        """
        if not _TOPIC.fullmatch(name):
            raise EmbeddedBrokerError(
                f"topic {name!r} cannot be created: a topic's name may have letters, digits, '.', '_' and "
                "'-' only, and at most 249 of them."
            )
        if not 0 < partitions <= _MOST_PARTITIONS:
            raise EmbeddedBrokerError(
                f"topic {name} cannot be created with {partitions} partitions: the embedded broker takes 1 "
                f"to {_MOST_PARTITIONS:,}."
            )
        error = self._call("topic_create", name.encode(), partitions, 1)
        if error == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        self._check(error, f"topic {name} cannot be created")
        return True

    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records and the offsets committed for it.

        Raises:
            EmbeddedBrokerError: it does not exist.
        """
        error = self._call("topic_delete", name.encode())
        self._check(error, f"topic {name} cannot be deleted")
        if self._accounts is not None:
            self._accounts.forget(name)

    def delete_records(self, topic: str, partition: int, before_offset: int) -> None:
        """Delete a partition's records below an offset.

        Raises:
            EmbeddedBrokerError: there is no such partition, or the offset is beyond its end.
        """
        error = self._call("partition_delete_records", topic.encode(), partition, before_offset)
        self._check(error, f"records of {topic} [{partition}] below {before_offset} cannot be deleted")
        if self._accounts is not None:
            self._accounts.emptied(topic, partition, before_offset)

    # --- faults ------------------------------------------------------------------------------------

    def push_errors(self, api: Api | int, errors: Sequence[int]) -> None:
        """Answer the next requests of a kind with these errors, one each, codes of ``KafkaError``.

        A local error such as ``KafkaError._TRANSPORT`` breaks the connection instead.
        """
        codes = (ctypes.c_int * len(errors))(*errors)
        self._call("push_request_errors_array", api, len(errors), codes)

    def clear_errors(self, api: Api | int) -> None:
        """Answer the next requests of a kind without the errors that are still to come."""
        self._call("clear_request_errors", api)

    def set_broker_down(self) -> None:
        """Drop all connections and accept no more. What the broker holds, it keeps."""
        self._check(self._call("broker_set_down", _BROKER), "the broker cannot be taken down")

    def set_broker_up(self) -> None:
        """Accept connections again."""
        self._check(self._call("broker_set_up", _BROKER), "the broker cannot be brought up")

    def set_round_trip(self, milliseconds: int) -> None:
        """Delay every answer by this much."""
        error = self._call("broker_set_rtt", _BROKER, milliseconds)
        self._check(error, f"a round trip of {milliseconds} ms cannot be set")

    # --- requests of other processes ---------------------------------------------------------------

    def _answer(self, sender: int, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what another process asked through its :class:`.control.Control`.

        Raises:
            EmbeddedBrokerError: it cannot be done.
        """
        accounts = self._accounts
        if accounts is None:
            raise EmbeddedBrokerError("the embedded broker is stopping.")
        match request["do"]:
            case "create":
                return {"created": self.create_topic(request["topic"], request["partitions"])}
            case "claim":
                topic = request["topic"]
                accounts.report(sender, topic, [Report(*sent) for sent in request["sent"]], 0)
                groups = frozenset(request["groups"])
                amounts = (request["size"], request["wish"], request["spare"], request["spared"])
                return {"granted": accounts.claim(sender, topic, groups, *amounts)}
            case "report":
                reports = [Report(*sent) for sent in request["sent"]]
                accounts.report(sender, request["topic"], reports, request["returned"])
                return {}
            case other:
                raise EmbeddedBrokerError(
                    f"the embedded broker knows no request {other!r}: the kjobs that asks is of another "
                    "version than the one that runs it. Start it again."
                )

    def _gone(self, sender: int) -> None:
        """A process that asked something has disconnected."""
        if self._accounts is not None:
            self._accounts.gone(sender)

    # --- the library -------------------------------------------------------------------------------

    def _call(self, name: str, *arguments: object) -> int:
        """Call ``rd_kafka_mock_<name>`` for the cluster and return its error, 0 if it has none.

        The mock's thread loses the wake-up of a call that follows another within microseconds, and then
        notices it after a second, or with the next connection: so it gets one.
        """
        if self._library is None or self._cluster is None or self._owner != os.getpid():
            raise EmbeddedBrokerError(
                "the embedded broker does not run in this process: start() it before anything is asked of it."
            )
        nudge = threading.Timer(_NUDGE_AFTER, self._connect)
        nudge.start()
        try:
            return int(getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments) or 0)
        finally:
            nudge.cancel()
            nudge.join()

    def _connect(self) -> None:
        # While the broker is set down it cannot be connected to; then the call does take a second.
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self._inner), timeout=1.0):
            pass

    def _check(self, error: int, what: str) -> None:
        if error != KafkaError.NO_ERROR and self._library is not None:
            why = self._library.rd_kafka_err2str(error).decode()
            raise EmbeddedBrokerError(f"{what} in the embedded broker at {self._bootstrap}: {why}.")


def create_topics(bootstrap: str, topics: Mapping[str, int]) -> list[str]:
    """Create topics, by name and number of partitions, in an embedded broker that runs in any process.

    It is needed because the broker does not know Kafka's request for it. Beware of the other way, which
    makes topics of four partitions: a client that asks for the metadata of one topic creates it, unless its
    ``allow.auto.create.topics`` is false, which is the default of consumers only. Ask for all topics.

    Returns the names of those that were created; those that exist are left as they are.

    Raises:
        EmbeddedBrokerError: one cannot be created; or there is no embedded broker.
    """
    control = Control(bootstrap)
    try:
        return [
            name
            for name, partitions in topics.items()
            if control.ask({"do": "create", "topic": name, "partitions": partitions})["created"]
        ]
    finally:
        control.close()


def _new_client(library: ctypes.CDLL) -> int:
    """Make the client that the mock cluster hangs on.

    Raises:
        EmbeddedBrokerError: librdkafka refuses.
    """
    reason = ctypes.create_string_buffer(512)
    options = library.rd_kafka_conf_new()
    # It has no broker to connect to and would log only that.
    for name, value in ((b"client.id", b"kjobs-embedded"), (b"log_level", b"0")):
        library.rd_kafka_conf_set(options, name, value, reason, len(reason))
    client: int | None = library.rd_kafka_new(PRODUCER, options, reason, len(reason))
    if client is None:
        library.rd_kafka_conf_destroy(options)
        raise EmbeddedBrokerError(f"the embedded broker cannot start: {reason.value.decode()}")
    return client
