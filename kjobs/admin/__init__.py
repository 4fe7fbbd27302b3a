"""The read model and the actions that commands, and later the web pages, are made of."""

from .dead import DeadLetters
from .deadletter import DeadLetter, State
from .delayed import DelayedCalls
from .delayedcall import DelayedCall
from .delayedfilter import DelayedFilter
from .filters import Filter

__all__ = ["DeadLetter", "DeadLetters", "DelayedCall", "DelayedCalls", "DelayedFilter", "Filter", "State"]
