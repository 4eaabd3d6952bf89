"""On the host, beside datalab_visit.py: members start their servers at once; meanwhile the login page is asked.

Standard input: url, certificate, password, members (all), working (those who start), kernel, homes (their folder).
Standard output: seconds to the first cell by member, seconds of each page, and who could read whose home.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from datalab_visit import Visit

PEEK = """
import os
seen = []
for name in {members}:
    if name != {me!r}:
        try:
            seen += [f"{{name}}/{{entry}}" for entry in os.listdir(f"{homes}/{{name}}")]
        except OSError:
            pass
print(seen)
"""


async def work(wanted: dict[str, Any], login: str) -> dict[str, Any]:
    """Log in, start, compute, try to look into everybody else's home."""
    begun = time.monotonic()
    visit = Visit(wanted["url"], wanted["certificate"], login)
    if not await visit.log_in(wanted["password"]):
        raise RuntimeError(f"the login of {login} was refused")
    inside = time.monotonic() - begun
    await visit.start(300)
    started = time.monotonic() - begun
    kernel = await visit.kernel(wanted["kernel"])
    output, died = await visit.run(kernel, f"import numpy; open('mine.txt', 'w').write('{login}'); print(6 * 7)", 300)
    cell = time.monotonic() - begun
    if died or output.strip() != "42":
        raise RuntimeError(f"the cell of {login}: {output}")
    peek = PEEK.format(members=wanted["members"], me=login, homes=wanted["homes"])
    seen, _ = await visit.run(kernel, peek, 300)
    return {"login": login, "inside": inside, "started": started, "cell": cell, "seen": seen.strip()}


async def watch(wanted: dict[str, Any], pages: list[float], done: asyncio.Event) -> None:
    """Ask the login page as somebody who has just come."""
    while not done.is_set():
        visit = Visit(wanted["url"], wanted["certificate"], "nobody")
        begun = time.monotonic()
        answer = await visit.send("/hub/login")
        pages.append(time.monotonic() - begun)
        if answer.code != 200:
            raise RuntimeError(f"the login page answered {answer.code}")
        await asyncio.sleep(0.25)


async def main() -> dict[str, Any]:
    """Do what standard input says."""
    wanted = json.load(sys.stdin)
    pages: list[float] = []
    done = asyncio.Event()
    watcher = asyncio.create_task(watch(wanted, pages, done))
    people = await asyncio.gather(*(work(wanted, login) for login in wanted["working"]))
    done.set()
    await watcher
    return {"people": people, "pages": pages}


print(json.dumps(asyncio.run(main())))
