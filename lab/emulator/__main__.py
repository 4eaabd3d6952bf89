"""Start the emulator: ``.venv-emulator/bin/python -m lab.emulator`` from the project's root.

Environment: LAB_PORT (4566), LAB_STATE_DIR (required), LAB_PUBLIC_NETWORK (a /24 of
127.0.0.0/8), LAB_ACCOUNT (123456789012), LAB_REGION (eu-west-1).
"""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.metadata import version
from pathlib import Path

SUPPORTED = "1.5.33"


def prepare_environment(port: int, account: str, region: str) -> None:
    """Set what MiniStack reads while it is imported: one listener, no docker, our account."""
    os.environ.update(
        BIND_HOST="127.0.0.1",
        MINISTACK_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        MINISTACK_ACCOUNT_ID=account,
        MINISTACK_REGION=region,
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        PERSIST_STATE="0",
        # MiniStack removes containers it takes for its own from any docker it finds.
        DOCKER_HOST="unix:///nonexistent/docker.sock",
    )


def main() -> int:
    """Run until told to stop; returns the exit status."""
    if version("ministack") != SUPPORTED:
        print(f"lab.emulator: ministack {version('ministack')} found, this extension fits {SUPPORTED} only")
        return 2
    if "LAB_STATE_DIR" not in os.environ:
        print("lab.emulator: set LAB_STATE_DIR to the folder that keeps the state")
        return 2
    port, account = int(os.environ.get("LAB_PORT", "4566")), os.environ.get("LAB_ACCOUNT", "123456789012")
    prepare_environment(port, account, os.environ.get("LAB_REGION", "eu-west-1"))

    from lab.emulator import extension  # noqa: PLC0415 (MiniStack reads the environment on import)
    from lab.emulator._server import run  # noqa: PLC0415

    os.umask(0o077)  # the state holds every parameter, secure ones included
    extension.install()
    state = Path(os.environ["LAB_STATE_DIR"])
    state.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(run(port, state / "emulator.json", account))
    except (OSError, ValueError) as error:
        print(f"lab.emulator: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
