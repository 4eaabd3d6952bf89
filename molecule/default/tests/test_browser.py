"""What a person sees: the browser tests against alpha's hub, under the name in its certificate."""

from __future__ import annotations

import subprocess
import sys

from tests.hosts.platform import ALPHA, LAB, ROOT, hub


def test_notebook_in_the_browser() -> None:
    name, port = hub(ALPHA)
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/browser",
            f"--hub-url=https://{name}", f"--hub-resolve={name}=127.0.0.1:{port}", f"--hub-ca={LAB.state / 'ca.pem'}",
            f"--hub-passwords={LAB.state / 'passwords.json'}", "--hub-project=alpha", "--hub-environment=base",
            "--hub-members=alice,bob", "--hub-outsider=carol",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:]
