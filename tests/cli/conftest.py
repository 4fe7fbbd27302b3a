"""Queues with delayed calls."""

from __future__ import annotations

from tests.admin.conftest import room

__all__ = ["room"]
