"""Writes docs/settings.md from the settings themselves: ``python -m tools.settings_page``."""

from __future__ import annotations

from pathlib import Path

from kjobs.config import FIXED, UNSAFE, Settings, about, names
from kjobs.core.duration import spoken

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

_LENGTHS = {"grace", "revoke_grace", "enqueue_timeout", "session_timeout"}

_TEXT = """# Settings

<!-- Written by `python -m tools.settings_page`. -->

A setting comes from the first of these that has it:

1. an argument: `App(group="shop")`, `kjobs.configure(group="shop")`, or an option of a command;
2. the environment: `KJOBS_GROUP=shop`;
3. a file in the working directory or above it: `kjobs.toml`, or `[tool.kjobs]` in `pyproject.toml`;
4. the default.

```toml
# kjobs.toml
bootstrap_servers = "kafka-1:9092,kafka-2:9092"
group = "shop"
modules = ["shop.jobs"]

[kafka]
"security.protocol" = "SASL_SSL"
"sasl.mechanism" = "SCRAM-SHA-512"
"sasl.username" = "shop"
```

Lengths of time are seconds, or text such as `500ms`, `30s`, `5m`, `2h`, `7d`. An unknown setting is an
error, with the nearest known one named. `kjobs worker` says at its start which settings were set, and where.

| Setting | Default | |
|---|---|---|
{rows}

`kafka` passes librdkafka options through; `KJOBS_KAFKA_SASL_PASSWORD` is `sasl.password`. Values of options
that hold secrets are never printed.

Not to be set, because [promises](reliability.md) rest on them: {fixed}.

Not to be set, because they load code or print secrets: {unsafe}.
"""


def page() -> str:
    """The page as it should be."""
    settings = Settings()
    rows = [f"| `{name}` | {_shown(name, getattr(settings, name))} | {about(name)} |" for name in names()]
    return _TEXT.format(
        rows="\n".join(rows),
        fixed=", ".join(f"`{option}`" for option in sorted(FIXED)),
        unsafe=", ".join(f"`{option}`" for option in sorted(UNSAFE)),
    )


def _shown(name: str, value: object) -> str:
    if value is None or value == () or value == {}:
        return ""
    if name in _LENGTHS and isinstance(value, float):
        return f"`{spoken(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
