"""On the host, beside datalab_visit.py: log in, start a server, compute one cell; JSON in, JSON out."""

from __future__ import annotations

import asyncio
import json
import sys

from datalab_visit import Visit


async def main() -> dict[str, str]:
    """Do what standard input says: url, certificate, login, password, kernel, code."""
    wanted = json.load(sys.stdin)
    visit = Visit(wanted["url"], wanted["certificate"], wanted["login"])
    if not await visit.log_in(wanted["password"]):
        raise RuntimeError("the login was refused")
    await visit.start(120)
    output, _ = await visit.run(await visit.kernel(wanted["kernel"]), wanted["code"], 120)
    return {"output": output.strip()}


print(json.dumps(asyncio.run(main())))
