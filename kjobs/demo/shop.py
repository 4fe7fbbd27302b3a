"""The jobs of the demo. Each writes down what it did, so that the demo can check it from outside."""

from __future__ import annotations

import json
import os
import threading
import time

from .. import App, Backoff, current

#: Names the file that the jobs write down what they did in; set by the demo.
DIARY = "SHOP_DIARY"

app = App(prefix="demo", group="demo")
_writing = threading.Lock()


class CardDeclined(Exception):
    """The bank said no."""


def _note(**what: object) -> None:
    context = current()
    line = json.dumps({"job": context.job, "key": context.key, "attempt": context.attempt, **what}) + "\n"
    with _writing, open(os.environ[DIARY], "a", encoding="utf-8") as diary:  # noqa: PTH123 - hot
        diary.write(line)


@app.job(name="shop.update_profile", queue="profiles", key="user")
def update_profile(user: str, version: int) -> None:
    """Save a profile; versions of one user must not overtake each other."""
    time.sleep(0.01)
    _note(user=user, version=version)


@app.job(name="shop.charge", queue="payments", key="order", retries=5, backoff=Backoff(base=0.2, cap=1))
def charge(order: int, cents: int) -> None:
    """Charge a card at a bank that fails twice before it works."""
    if current().attempt < 3:
        raise ConnectionError(f"the bank did not answer (order {order})")
    _note(order=order, cents=cents)


@app.job(name="shop.refund", queue="payments", key="order", retries=2, backoff=Backoff(base=0.2, cap=1))
def refund(order: int) -> None:
    """Refund an order at a bank that always says no."""
    raise CardDeclined(f"the card of order {order} was closed")


@app.job(name="shop.remind", queue="reminders")
def remind(order: int) -> None:
    """Remind somebody of an order, some time after it."""
    _note(order=order, at=time.time())


@app.job(name="shop.thumbnail", queue="pictures")
async def thumbnail(picture: int) -> None:
    """Make a small picture; no order is needed."""
    _note(picture=picture)
