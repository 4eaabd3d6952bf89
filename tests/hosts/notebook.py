"""notebook.py: log in to the hub of this host as a member, run code in a kernel, print what came out as JSON.

Runs on the host with the hub's own Python, beside a copy of datalab_visit.py. Standard input is one JSON object:
url, certificate (the file that the proxy must present), login, password, code, seconds, and
kernel (the id of a running one, or the name of a kernel to start).
With `leave` the tab is closed so many seconds after the code was sent, whether it came to its end or not.
With `fresh` the server is stopped first, so that a new one starts.
With `server`, the login of somebody else, it uses that one's server.
With `cookies` of an earlier visit, or with `token`, it does not log in; `login` then says whether these still hold.
With `calls`, a list of method, path and body (or null), it sends these and `answers` has code and text of each.
With `terminal`, a list of [TEXT, LINE], it types LINE into a new terminal once TEXT is there; `shown` is all of it.
With `after`, a command, it runs that instead, waits, and tells whether the login still holds (inside).
The answer has login (whether it succeeded), kernel (its id), kernels (names), output, died (whether it was killed),
and with `keep` the cookies.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from datalab_visit import Visit
from tornado.websocket import websocket_connect


async def call(visit: Visit, method: str, path: str, body: Any) -> tuple[int, str]:
    """Code and text of the answer to one request; a page is visited first where a server's cookies are needed."""
    if path.startswith("/user/"):
        await visit.send(f"/user/{path.split('/')[2]}/lab")
    text = None if body is None else json.dumps(body)
    answer = await visit.send(path, method=method, body=text, allow_nonstandard_methods=True)
    return answer.code, answer.body.decode(errors="replace")


async def type_in(visit: Visit, dialogue: list[list[str]], seconds: float) -> str:
    """What a new terminal shows while each line is typed once the text before it is there."""
    base = f"/user/{visit.server}"
    name = json.loads((await visit.send(f"{base}/api/terminals", method="POST", body="{}")).body)["name"]
    request = visit.request(f"{base}/terminals/websocket/{name}")
    request.url = request.url.replace("http", "ws", 1)
    socket = await websocket_connect(request, resolver=visit.resolver)
    shown, looked = "", 0
    for text, line in dialogue:
        while (found := shown.find(text, looked)) < 0:
            try:
                raw = await asyncio.wait_for(socket.read_message(), seconds)
            except TimeoutError:
                raw = None
            if raw is None:
                raise RuntimeError(f"the terminal never showed {text!r}: {shown}")
            kind, *rest = json.loads(raw)
            shown += rest[0] if kind == "stdout" else ""
        looked = found + len(text)
        await socket.write_message(json.dumps(["stdin", f"{line}\r"]))
    socket.close()
    await visit.send(f"{base}/api/terminals/{name}", method="DELETE")
    return shown


async def enter(visit: Visit, wanted: dict[str, Any]) -> bool:
    """Log in, or find out whether what an earlier visit got still opens the hub."""
    if visit.token:
        return (await visit.send("/hub/api/user")).code == 200
    if "cookies" not in wanted:
        return await visit.log_in(wanted["password"])
    visit.cookies = {(path, name): value for path, name, value in wanted["cookies"]}
    return await inside(visit)


async def inside(visit: Visit) -> bool:
    """Whether the hub shows its page instead of asking for a password."""
    return b"login_submit" not in (await visit.send("/hub/home")).body


async def main() -> dict[str, Any]:
    """Do what standard input says."""
    wanted = json.load(sys.stdin)
    server, token = wanted.get("server", ""), wanted.get("token", "")
    visit = Visit(wanted["url"], wanted["certificate"], wanted["login"], server=server, token=token)
    if not await enter(visit, wanted):
        return {"login": False}
    result: dict[str, Any] = {"login": True}
    if "after" in wanted:
        subprocess.run(wanted["after"], check=True, capture_output=True)
        await asyncio.sleep(wanted["seconds"])
        result["inside"] = await inside(visit)
    if wanted.get("fresh") and not await visit.stop(wanted["seconds"]):
        raise RuntimeError(f"the server of {visit.login} did not stop in {wanted['seconds']} s")
    if "code" in wanted:
        await visit.start(wanted["seconds"])
        specs = json.loads((await visit.send(f"/user/{visit.server}/api/kernelspecs")).body)
        kernel = await visit.kernel(wanted["kernel"])
        try:
            output, died = await visit.run(kernel, wanted["code"], wanted.get("leave", wanted["seconds"]))
        except TimeoutError:
            if "leave" not in wanted:
                raise
            output, died = "", False
        result |= {"kernels": sorted(specs["kernelspecs"]), "kernel": kernel, "output": output.strip(), "died": died}
    if "terminal" in wanted:
        await visit.start(wanted["seconds"])
        result["shown"] = await type_in(visit, wanted["terminal"], 60)
    if "calls" in wanted:
        result["answers"] = [await call(visit, *one) for one in wanted["calls"]]
    if wanted.get("keep"):
        result["cookies"] = [[path, name, value] for (path, name), value in visit.cookies.items()]
    return result


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main())))
