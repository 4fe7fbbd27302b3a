"""The read model and the actions that commands, and later the web pages, are made of."""

from .dead import DeadLetters
from .deadletter import DeadLetter, State
from .filters import Filter

__all__ = ["DeadLetter", "DeadLetters", "Filter", "State"]
