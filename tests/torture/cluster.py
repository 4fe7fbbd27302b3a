"""The brokers: one node or three, each with a door for every party that leads through the proxy."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.servers.kafka import FAST, QUICK, Kafka, Membership, fresh_id
from tests.servers.ports import free_ports
from tests.torture.proxy import Proxy

#: Seconds after which the controller takes a silent broker for dead.
_SILENCE_MS = "5000"
#: Seconds for a broker to come up on a busy machine.
START_SECONDS = 120.0


class Cluster:
    """The brokers of a run.

    Args:
        nodes: 1 or 3.
        parties: who has a door; their clients never see another address than the proxy's.
        proxy: takes the links.

    Attributes:
        nodes: the brokers, by their ids from 1.
    """

    def __init__(self, nodes: int, parties: Sequence[str], proxy: Proxy) -> None:
        self._parties = tuple(parties)
        self._proxy = proxy
        # By node: its own port, its controller's, and for each party the door's and the proxy's.
        ports = free_ports(nodes * (2 + 2 * len(parties)))
        self._ports = {
            node: ports[(node - 1) * (2 + 2 * len(parties)) :][: 2 + 2 * len(parties)]
            for node in range(1, nodes + 1)
        }
        membership = None
        if nodes > 1:
            controllers = ",".join(
                f"{node}@127.0.0.1:{own[1]}:{fresh_id()}" for node, own in self._ports.items()
            )
            membership = Membership(fresh_id(), controllers)
        self.nodes = {
            node: Kafka(
                self._properties(node, nodes),
                jvm=FAST if nodes == 1 else QUICK,
                ports=(own[0], own[1]),
                membership=membership,
            )
            for node, own in self._ports.items()
        }

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def bootstrap(self) -> str:
        """The brokers' own addresses, past the proxy."""
        return ",".join(f"127.0.0.1:{own[0]}" for own in self._ports.values())

    def door(self, party: str) -> str:
        """The addresses that a party is given."""
        return ",".join(f"127.0.0.1:{self._doors(node, party)[1]}" for node in self._ports)

    def start(self) -> None:
        """Start all brokers, and open all doors."""
        for node in self._ports:
            for party in self._parties:
                inner, outer = self._doors(node, party)
                self._proxy.open(party, node, outer, inner)
        for kafka in self.nodes.values():
            kafka.launch()
        self.await_all()

    def await_all(self) -> None:
        """Wait until all that were launched serve clients."""
        for kafka in self.nodes.values():
            kafka.await_ready(START_SECONDS)

    def heal(self) -> None:
        """Have all brokers run."""
        for kafka in self.nodes.values():
            if kafka.runs:
                kafka.resume()
            else:
                kafka.kill()  # it has ended by itself
                kafka.launch()
        self.await_all()

    def keep_logs(self, folder: Path) -> None:
        """Copy what the brokers have said."""
        for node, kafka in self.nodes.items():
            if kafka.log.exists():
                shutil.copy(kafka.log, folder / f"broker-{node}.log")

    def close(self) -> None:
        """Stop all, and remove their data."""
        for kafka in self.nodes.values():
            kafka.kill()  # nobody needs the data, and three in order take long
            kafka.close()

    def _doors(self, node: int, party: str) -> tuple[int, int]:
        at = 2 + 2 * self._parties.index(party)
        inner, outer = self._ports[node][at : at + 2]
        return inner, outer

    def _properties(self, node: int, nodes: int) -> dict[str, str]:
        own = self._ports[node]
        names = {party: party.upper() for party in self._parties}
        inner = [f"{names[party]}://127.0.0.1:{self._doors(node, party)[0]}" for party in self._parties]
        outer = [f"{names[party]}://127.0.0.1:{self._doors(node, party)[1]}" for party in self._parties]
        listeners = [f"PLAINTEXT://127.0.0.1:{own[0]}", f"CONTROLLER://127.0.0.1:{own[1]}", *inner]
        kinds = [f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names.values())]
        replicas = str(nodes)
        safe = str(max(1, nodes - 1))
        return {
            "node.id": str(node),
            "listeners": ",".join(listeners),
            "advertised.listeners": ",".join([f"PLAINTEXT://127.0.0.1:{own[0]}", *outer]),
            "listener.security.protocol.map": ",".join(kinds),
            "inter.broker.listener.name": "PLAINTEXT",
            "num.network.threads": "1",  # for each of so many listeners
            "num.io.threads": "4",
            "default.replication.factor": replicas,
            "min.insync.replicas": safe,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": safe,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": safe,
            "broker.session.timeout.ms": _SILENCE_MS,
            "replica.lag.time.max.ms": "4000",
            # A transaction of somebody who was killed holds up its readers for so long.
            "transaction.max.timeout.ms": "60000",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "log.segment.bytes": str(64 * 1024 * 1024),
        }
