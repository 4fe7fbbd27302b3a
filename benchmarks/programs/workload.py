"""The calls that are enqueued, by kjobs and by the raw producer alike."""

from __future__ import annotations

#: One call's arguments are its number's remainder, so that there are 1,000 keys, and a text.
USERS = 1_000
TEXT = "welcome to the shop"
