"""Use the hub as a member does: log in, start the server, run code in a kernel. For the health check and the tests.

Needs tornado, which the hub's environment has.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import uuid
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.netutil import DefaultLoopResolver, OverrideResolver
from tornado.websocket import websocket_connect


class Visit:
    """One member's cookies and requests."""

    def __init__(self, url: str, certificate: str, login: str, token: str = "", server: str = "") -> None:
        """`certificate` is the file that the hub of this host must present; with `token` no login is needed.

        `server` is the login of somebody else whose server is used.
        """
        self.url, self.login, self.token, self.server = url, login, token, server or login
        self.cookies: dict[tuple[str, str], str] = {}
        # The host does not know the authority; the certificate itself is the anchor, and its names are checked.
        self.tls = ssl.create_default_context(cafile=certificate)
        self.tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # Whatever the company's DNS says of the name: this host's hub is meant.
        self.resolver = OverrideResolver(DefaultLoopResolver(), {urlsplit(url).hostname: "127.0.0.1"})
        self.client = AsyncHTTPClient(force_instance=True, resolver=self.resolver)

    def header(self, path: str) -> str:
        """The Cookie header for a path; the longest matching cookie path wins for each name."""
        fit = sorted((len(s), name, value) for (s, name), value in self.cookies.items() if path.startswith(s))
        return "; ".join(f"{name}={value}" for name, value in {name: value for _, name, value in fit}.items())

    def xsrf(self, path: str) -> str:
        """The token against forged requests for a path."""
        fit = [(len(s), v) for (s, n), v in self.cookies.items() if n == "_xsrf" and path.startswith(s)]
        return max(fit)[1] if fit else ""

    def request(self, path: str, **options: Any) -> HTTPRequest:
        """A request that does not follow redirects, so that each cookie on the way is seen."""
        headers = {"Cookie": self.header(path), "X-XSRFToken": self.xsrf(path), "Referer": self.url + path}
        if "/api/" in path:
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"token {self.token}"
        settings = {"follow_redirects": False, "request_timeout": 60, "ssl_options": self.tls, **options}
        return HTTPRequest(self.url + path, headers=headers, **settings)

    async def send(self, path: str, **options: Any) -> HTTPResponse:
        """Send one request, keep its cookies, follow redirects within the hub."""
        for _ in range(12):
            answer = await self.client.fetch(self.request(path, **options), raise_error=False)
            for line in answer.headers.get_list("Set-Cookie"):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[morsel["path"].strip('"') or "/", name] = morsel.value.strip('"')
            if answer.code not in (301, 302, 303):
                return answer
            path, options = answer.headers["Location"].removeprefix(self.url), {}
        raise RuntimeError(f"too many redirects at {path}")

    async def log_in(self, password: str) -> bool:
        """Send the login form."""
        await self.send("/hub/login")
        form = urlencode({"username": self.login, "password": password, "_xsrf": self.xsrf("/hub/login")})
        answer = await self.send("/hub/login?next=%2Fhub%2Fhome", method="POST", body=form)
        return answer.code == 200 and b"login_submit" not in answer.body

    async def start(self, seconds: float) -> None:
        """Start the member's server if it does not run, and enter it."""
        await self.send("/hub/home")
        await self.send(f"/hub/api/users/{self.server}/server", method="POST", body="{}")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # A page, because only a page takes the steps that set the server's cookies.
            await self.send(f"/user/{self.server}/lab")
            answer = await self.send(f"/user/{self.server}/api/status")
            if answer.code == 200:
                return
            await asyncio.sleep(0.5)
        raise RuntimeError(f"the server of {self.server} did not start in {seconds} s: {answer.code}")

    async def stop(self, seconds: float) -> bool:
        """Stop the member's own server; return whether it is gone."""
        await self.send("/hub/home")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = await self.send(f"/hub/api/users/{self.login}/server", method="DELETE")
            if answer.code not in (202, 400):  # it is stopping; something else is pending
                return answer.code == 204
            await asyncio.sleep(0.5)
        return False

    async def kernel(self, wanted: str) -> str:
        """The id of a running kernel, or of a new one of that name."""
        base = f"/user/{self.server}/api/kernels"
        if (await self.send(f"{base}/{wanted}")).code == 200:
            return wanted
        answer = await self.send(base, method="POST", body=json.dumps({"name": wanted}))
        if answer.code != 201:
            raise RuntimeError(f"no kernel {wanted}: {answer.code} {answer.body[:300]!r}")
        return json.loads(answer.body)["id"]

    async def run(self, kernel: str, code: str, seconds: float) -> tuple[str, bool]:
        """Run code; return what it printed or raised, and whether the kernel died over it."""
        request = self.request(f"/user/{self.server}/api/kernels/{kernel}/channels")
        request.url = request.url.replace("http", "ws", 1)
        socket = await websocket_connect(request, resolver=self.resolver)
        message = uuid.uuid4().hex
        head = {"msg_id": message, "msg_type": "execute_request", "username": "", "version": "5.3", "date": ""}
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        body = {"header": {**head, "session": message}, "parent_header": {}, "metadata": {}, "content": content}
        await socket.write_message(json.dumps({**body, "channel": "shell", "buffers": []}))
        try:
            return await asyncio.wait_for(collect(socket, message), seconds)
        finally:
            socket.close()


async def collect(socket: Any, message: str) -> tuple[str, bool]:
    """Read until the answer and the idle state are there, or the kernel's end is announced."""
    text, pending = "", {"reply", "idle"}
    while pending:
        raw = await socket.read_message()
        if raw is None:
            return text, True
        got = json.loads(raw)
        content = got["content"]
        state = content.get("execution_state") if got["msg_type"] == "status" else None
        if state in ("restarting", "autorestarting", "dead"):
            return text, True
        if got["parent_header"].get("msg_id") != message:
            continue
        text += content.get("text", "") if got["msg_type"] == "stream" else ""
        text += f"{content['ename']}: {content['evalue']}" if got["msg_type"] == "error" else ""
        pending -= {"reply"} if got["msg_type"] == "execute_reply" else set()
        pending -= {"idle"} if state == "idle" else set()
    return text, False
