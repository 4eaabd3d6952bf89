"""What a member sees of the limits: the status bar, and why a kernel died."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

# The kernel's own word, in either version of control groups.
LIMIT = """import pathlib
groups = dict(line.split(":", 2)[1:] for line in open("/proc/self/cgroup").read().splitlines())
root = pathlib.Path("/sys/fs/cgroup")
old = root / "memory" / groups.get("memory", "")[1:] / "memory.limit_in_bytes"
print((old if old.exists() else root / groups[""][1:] / "memory.max").read_text())"""


@pytest.fixture(scope="module")
def seen(browsers, setting):
    """A notebook whose second cell takes twice the memory there is."""
    with browsers.visitor(setting.members[0]) as member:
        member.log_in()
        member.open_lab()
        member.new_notebook()
        limit = int(member.run_cell(LIMIT))
        bar = member.page.locator("#jp-main-statusbar")
        expect(bar).to_contain_text(re.compile(r"Mem:\s+[0-9.]+ / [0-9.]+ [MG]B"), timeout=30_000)
        status = bar.inner_text()
        member.shot("7-limits")
        member.page.locator(".jp-Notebook .jp-CodeCell .cm-content").last.click()
        member.page.keyboard.insert_text(f"a = b'x' * {2 * limit}")
        member.page.keyboard.press("Shift+Enter")
        notice = member.page.locator(".Toastify__toast").filter(has_text="Out of memory")
        expect(notice).to_be_visible(timeout=60_000)
        member.shot("8-killed")
        return {"limit": limit, "status": status, "notice": notice.inner_text()}


def test_status_bar_shows_the_limit_that_binds(seen):
    """Memory against the limit of the control group; processors and disk beside it."""
    number, unit = re.search(r"Mem:\s+[0-9.]+ / ([0-9.]+) ([MG])B", seen["status"]).groups()
    assert float(number) * {"M": 2**20, "G": 2**30}[unit] == pytest.approx(seen["limit"], rel=0.01)
    assert re.search(r"CPU:\s+[0-9.]+ %", seen["status"])
    assert re.search(r"Disk:\s+[0-9.]+ / [0-9.]+ [MGT]B", seen["status"])


def test_who_lost_a_kernel_reads_why(seen):
    """The whole sentence, with the limit that was reached."""
    size = f"{seen['limit'] / 2**30:.3g} GiB" if seen["limit"] >= 2**30 else f"{seen['limit'] / 2**20:.3g} MiB"
    assert f"a kernel of yours was killed. Limit: {size}" in seen["notice"]
    assert "ask for more" in seen["notice"]
