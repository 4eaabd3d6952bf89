"""served.py JSON: start a Jupyter server as this account, run cells in kernels, print what came of it as JSON.

Runs on the host with the server's own interpreter. The argument is kernel -> cells; a cell `!COMMAND` is run by a
shell, with the kernel's connection file in $CONNECTION.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import websocket

TOKEN = uuid.uuid4().hex


def call(base: str, path: str, data: dict | None = None) -> dict:
    body = json.dumps(data).encode() if data else None
    asked = urllib.request.Request(f"{base}{path}", data=body, headers={"Authorization": f"token {TOKEN}"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=300) as answer:  # noqa: S310
        return json.loads(answer.read())


def execute(base: str, kernel: str, code: str) -> str:
    """Return what a cell writes, its result and its error."""
    address = f"ws{base.removeprefix('http')}/api/kernels/{kernel}/channels?token={TOKEN}"
    socket = websocket.create_connection(address, timeout=300)
    number = uuid.uuid4().hex
    header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": number, "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    socket.send(
        json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"})
    )
    said = ""
    while True:
        message = json.loads(socket.recv())
        if message["parent_header"].get("msg_id") != number:
            continue
        content = message["content"]
        said += content.get("text", "") if message["msg_type"] == "stream" else ""
        said += "\n".join(content.get("traceback", [])) if message["msg_type"] == "error" else ""
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            socket.close()
            return said


def run(base: str, name: str, cells: list[str]) -> Iterator[str]:
    """Start a kernel and yield what each cell says."""
    kernel = call(base, "/api/kernels", {"name": name})["id"]
    [connection] = Path.home().glob(f".local/share/jupyter/runtime/kernel-{kernel}.json")
    for cell in cells:
        if cell.startswith("!"):
            shell = {**os.environ, "CONNECTION": str(connection)}
            done = subprocess.run(cell[1:], shell=True, env=shell, capture_output=True, text=True, check=False)  # noqa: S602
            yield done.stdout + done.stderr
        else:
            yield execute(base, kernel, cell)


def main() -> None:
    wanted = json.loads(sys.argv[1])
    port = 20000 + os.getuid() % 10000
    base = f"http://127.0.0.1:{port}"
    log = Path.home() / "server.log"
    command = [sys.executable, "-m", "jupyter_server", f"--port={port}", "--ServerApp.port_retries=0", "--allow-root"]
    with log.open("w") as file:
        environment = {**os.environ, "JUPYTER_TOKEN": TOKEN}
        server = subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=Path.home())
    try:
        for _ in range(1800):
            try:
                call(base, "/api/status")
                break
            except OSError:
                time.sleep(0.1)
        listed = call(base, "/api/kernelspecs")["kernelspecs"]
        result = {"kernels": {key: entry["spec"] for key, entry in listed.items()}}
        result["said"] = {name: list(run(base, name, cells)) for name, cells in wanted.items()}
        sys.stdout.write(json.dumps(result | {"log": log.read_text()}) + "\n")
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:  # what it said is here already; how it ends is not the question
            server.kill()
            server.wait()


main()
