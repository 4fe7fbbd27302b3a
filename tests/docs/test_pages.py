"""The pages that people read say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kjobs import __version__
from tools.settings_page import PAGE, page

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "DESIGN.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
#: Pages whose Python is run by a test of their own.
RUN_ELSEWHERE = {"testing.md"}

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_settings_page_is_that_of_the_settings() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tools.settings_page"


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{path.name} links to {target}, which is not there"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{path.name} links to {target}; the headings there are {sorted(slugs)}"


@pytest.mark.parametrize(
    "path", [p for p in PAGES if p.name not in RUN_ELSEWHERE], ids=lambda path: path.name
)
def test_python_blocks_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kjobs import default_app

    monkeypatch.setattr(default_app, "_jobs", {})
    monkeypatch.setattr(default_app, "middleware", [])
    for number, block in enumerate(_BLOCK.findall(path.read_text(encoding="utf-8"))):
        if ".delay(" in block or "DeadLetters(" in block:
            compile(block, f"{path.name}:{number}", "exec")  # needs a Kafka; the scenarios run the like of it
        else:
            exec(compile(block, f"{path.name}:{number}", "exec"), {"__name__": "page"})
