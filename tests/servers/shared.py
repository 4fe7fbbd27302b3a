"""The one broker that all tests of a run, or all of a benchmark, have in common."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, assert_never

from tests.servers import probe
from tests.servers.compose import ComposeKafka
from tests.servers.failure import NoServerError, ServerMissingError
from tests.servers.kafka import QUICK, Kafka
from tests.servers.source import Container, Given, Local, Source, find

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Nobody kills this broker, so it need not come back fast: a busy machine must not make it look dead.
_STEADY = {"broker.session.timeout.ms": "9000"}


class SharedKafka:
    """A broker that is found or started when it is first asked for.

    The properties and the JVM's options count for a broker of our own only; a given one is taken as it is.
    """

    def __init__(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        jvm: tuple[str, ...] = QUICK,
        source: Source | None = None,
    ) -> None:
        self._properties = {**_STEADY, **(properties or {})}
        self._jvm = jvm
        self._source = source
        self._held = ExitStack()
        self._found: str | NoServerError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def bootstrap(self) -> str:
        """The bootstrap servers of the broker.

        Raises:
            NoServerError: there is none. It is looked for once; later calls fail at once, in the same words.
        """
        if self._found is None:
            try:
                self._found = self._open(self._source or find())
            except NoServerError as failure:
                self._found = failure
        if isinstance(self._found, NoServerError):
            raise self._found
        return self._found

    def close(self) -> None:
        """Stop the broker if it is ours."""
        self._held.close()

    def _open(self, source: Source) -> str:
        match source:
            case Given(bootstrap):
                if not probe.answers(bootstrap):
                    raise ServerMissingError(
                        f"KJOBS_TEST_KAFKA is set to {bootstrap}, and no Kafka answers there without TLS; "
                        "start it, or unset the variable to have the tests start one of their own."
                    )
                return bootstrap
            case Local(kafka):
                return self._held.enter_context(Kafka(self._properties, jvm=self._jvm, kafka=kafka)).bootstrap
            case Container(docker):
                service = ComposeKafka(docker)
                self._held.callback(service.close)
                service.start()
                return service.bootstrap
            case _:
                assert_never(source)
