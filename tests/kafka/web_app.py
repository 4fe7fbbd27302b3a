"""A WSGI app that enqueues: once when it is imported, which is before the fork, and once per request."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.kafka.jobs import app
from tests.patience import until


def _enqueue(key: str) -> dict[str, Any]:
    handle = app.find("act").options(key=key).delay()
    return {
        "pid": os.getpid(),
        "call": handle.id,
        "partition": handle.partition,
        "offset": handle.offset,
        "key": handle.key,
    }


#: The call that the master enqueued; its producer is inherited by the workers.
FIRST = _enqueue("master")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Enqueue a call under the key that the path names.

    With ``?gate=`` the answer is held until that file exists, and this process' id is added to its name to
    tell that it is.
    """
    found = [FIRST, _enqueue(environ["PATH_INFO"].strip("/"))]
    gate = environ["QUERY_STRING"].partition("gate=")[2]
    if gate:
        Path(f"{gate}.{os.getpid()}").touch()
        until(Path(gate).exists, "the gate opens")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]
