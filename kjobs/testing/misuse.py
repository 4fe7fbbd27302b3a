"""What is raised when a test uses ``kjobs.testing`` in a way that cannot work."""

from __future__ import annotations

from ..errors import KjobsError


class Misuse(KjobsError, RuntimeError):
    """``kjobs.testing`` cannot be used like this; the message says why and what to do instead."""
