"""How hypothesis runs here: machines are shared, so no example has a deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("kjobs", deadline=None, max_examples=80)
settings.load_profile("kjobs")
