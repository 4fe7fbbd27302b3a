"""What other processes ask of the embedded broker beside Kafka's protocol, and how they ask it.

A mock cluster does not know Kafka's CreateTopics, and it creates topics with four partitions when it is
asked for metadata. So the process that runs it also listens on a port of its own for requests, a line of
JSON each, answered by a line of JSON. The broker's rack, which Kafka clients can ask for, names that port.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ...errors import EmbeddedBrokerError
from .loopback import LOOPBACK, LoopbackServer

log = logging.getLogger("kjobs.kafka")

#: How the cluster ids begin that mock clusters report; real ones are 22 characters of base64.
MOCK_CLUSTER = "mockCluster"

#: The broker's rack is this and the port for requests.
RACK = "kjobs-embedded:"

#: Seconds for an answer; requests are answered within a few milliseconds.
_PATIENCE = 10.0

#: Bytes of the longest line.
_LONGEST = 1024 * 1024

#: What serves a request: called with the sender's identity and the request, returns the answer.
Serve = Callable[[int, Mapping[str, Any]], Mapping[str, Any]]

#: What is told that a sender has disconnected.
Gone = Callable[[int], object]


def is_embedded(cluster_id: str | None) -> bool:
    """Whether a cluster id, as metadata tells it, is that of an embedded broker."""
    return cluster_id is not None and cluster_id.startswith(MOCK_CLUSTER)


class ControlServer(LoopbackServer):
    """Answers requests while entered, on a port of the system's choice.

    Args:
        serve: answers a request, in a thread; an EmbeddedBrokerError is told to the one who asked.
        gone: called with a sender's identity when it has disconnected.
    """

    def __init__(self, serve: Serve, gone: Gone) -> None:
        super().__init__(self._converse, longest=_LONGEST)
        self._serve = serve
        self._gone = gone
        self._senders = itertools.count(1)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = next(self._senders)
        try:
            while line := await reader.readline():
                answer = await asyncio.to_thread(self._answer, sender, line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ValueError as error:
            log.warning("a request to the embedded broker is longer than any can be: %s", error)
        finally:
            self._gone(sender)

    def _answer(self, sender: int, line: bytes) -> Mapping[str, Any]:
        try:
            return self._serve(sender, json.loads(line))
        except EmbeddedBrokerError as error:
            return {"error": str(error)}
        except (KafkaException, ValueError, TypeError, KeyError) as error:
            return {"error": f"the embedded broker could not do what it was asked: {error!r}"}


class Control:
    """Asks requests of the embedded broker; for one process, any thread.

    Raises:
        EmbeddedBrokerError: there is none at this address, or it does not answer.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._lock = threading.Lock()
        try:
            self._socket = socket.create_connection((LOOPBACK, _port(bootstrap)), timeout=_PATIENCE)
        except OSError as error:
            raise _silent(bootstrap, error) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request and return its answer.

        Raises:
            EmbeddedBrokerError: it was refused, or not answered.
        """
        with self._lock:
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
                line = self._answers.readline()
            except (OSError, ValueError) as error:
                # A late answer would be taken for that to the next request.
                self.close()
                raise _silent(self._bootstrap, error) from None
        if not line:
            raise _silent(self._bootstrap, "the connection ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EmbeddedBrokerError(answer["error"])
        return answer

    def close(self) -> None:
        """Disconnect."""
        self._answers.close()
        self._socket.close()


def _port(bootstrap: str) -> int:
    """Ask the broker for the port that takes requests.

    Raises:
        EmbeddedBrokerError: there is no broker, or it has no such port.
    """
    options: dict[str, Any] = {"bootstrap.servers": bootstrap, "logger": log, "log_level": 0}
    client = AdminClient(options)
    try:
        cluster_id = client.list_topics(timeout=_PATIENCE).cluster_id
        if not is_embedded(cluster_id):
            raise EmbeddedBrokerError(
                f"the broker at {bootstrap} is not an embedded one: its cluster's id is {cluster_id}. Only "
                "the embedded broker takes such requests."
            )
        nodes = client.describe_cluster(request_timeout=_PATIENCE / 5).result().nodes
    except KafkaException as error:
        raise _silent(bootstrap, error.args[0].str()) from None
    for node in nodes:
        if node.rack is not None and node.rack.startswith(RACK):
            return int(node.rack.removeprefix(RACK))
    raise EmbeddedBrokerError(
        f"the broker at {bootstrap} is a mock cluster that kjobs did not start: it takes no requests for "
        "topics, and nothing keeps it from dropping records. Start one with `kjobs dev`, or use a real "
        "Kafka."
    )


def _silent(bootstrap: str, why: object) -> EmbeddedBrokerError:
    return EmbeddedBrokerError(
        f"the embedded broker at {bootstrap} does not answer: {why}. It lives in the process that started "
        "it, with all it holds, and that process may have ended. Start it again."
    )
