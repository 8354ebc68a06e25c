"""Accessibility by axe-core, in a page of a real browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# The file axe.min.js of the npm package axe-core; see tests/server/browser/conftest.py.
AXE = os.environ.get("MLGIT_TEST_AXE", "")


def check_with_axe(page: Any, path: str) -> None:
    """Nothing that axe calls serious or critical."""
    page.evaluate(Path(AXE).read_text(encoding="utf-8") + ";0")
    found = page.evaluate("axe.run(document, {iframes: false})")
    bad = [
        (one["id"], one["impact"], [node["html"][:150] for node in one["nodes"][:3]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert not bad, (path, bad)
