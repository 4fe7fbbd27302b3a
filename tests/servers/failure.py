"""Why there is no server; every message is written for the person who runs the tests."""

from __future__ import annotations


class NoServerError(Exception):
    """No Kafka can be had."""


class ServerMissingError(NoServerError):
    """Nothing here can run one; the message is one sentence that says what to install."""


class ResolveError(NoServerError):
    """Kafka's jars could not be brought; the message ends with what Maven said."""


class StartError(NoServerError):
    """A broker did not start; the message ends with what it said."""
