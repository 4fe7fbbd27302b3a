"""The embedded broker: see ``broker.py``. For demos, development and tests."""

from .broker import Api, EmbeddedBroker, create_topics
from .control import is_embedded

__all__ = ["Api", "EmbeddedBroker", "create_topics", "is_embedded"]
