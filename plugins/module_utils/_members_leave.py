"""The end of a membership on a host: what runs is ended, what would run later is taken away, the home is archived."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._members import Account

LINGER = Path("/var/lib/systemd/linger")
CRONTABS = Path("/var/spool/cron/crontabs")
AT_JOBS = (Path("/var/spool/cron/atjobs"), Path("/var/spool/at"))

Do = Callable[..., None]


def lock(do: Do, known: Account) -> None:
    """No password, no key and no token opens an account that is locked and expired."""
    if not known.locked:
        do(f"{known.login}: locked", ["usermod", "--lock", "--expiredate", "1970-01-02", known.login])


def end_sessions(do: Do, known: Account, unit: str) -> None:
    """End the server, the logins and every process of an account.

    :param unit: name of the unit of the account's server.
    """
    do(
        f"{known.login}: sessions ended",
        ["systemctl", "stop", unit],
        ["loginctl", "terminate-user", known.login],
        ["pkill", "-KILL", "-U", str(known.uid)],
        ok=(0, 1, 5),
    )


def jobs(known: Account) -> list[Path]:
    """What would start processes of an account later: its crontab and its at jobs."""
    found = [CRONTABS / known.login] if (CRONTABS / known.login).is_file() else []
    for spool in AT_JOBS:
        if spool.is_dir():
            found += [path for path in sorted(spool.iterdir()) if path.is_file() and path.lstat().st_uid == known.uid]
    return found


def free_name(archive: Path, login: str) -> Path:
    """Where a home goes; an older one of the same login stays where it is."""
    wanted = archive / login
    return wanted.with_name(f"{login}-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}") if wanted.exists() else wanted


def archive(do: Do, known: Account, home: Path, folder: Path, check: bool) -> dict[str, Any]:
    """Move home, crontab and at jobs to the archive, which only root enters; nothing is deleted.

    :param home: the home, which may be absent.
    :param folder: the archive.
    :return: ``login``, ``home`` and ``jobs``: where they are now, empty where there was none.
    """
    login = known.login
    result: dict[str, Any] = {"login": login, "home": "", "jobs": ""}
    if (LINGER / login).exists():
        do(f"{login}: services of the account do not outlive its sessions any more")
        if not check:
            (LINGER / login).unlink()
    target = free_name(folder, login)
    later = jobs(known)
    if later:
        place = target.with_name(f"{target.name}.jobs")
        do(f"{login}: crontab and at jobs archived in {place}")
        result["jobs"] = str(place)
        if not check:
            place.mkdir(mode=0o700, exist_ok=True)
            for path in later:
                shutil.move(path, place / f"{path.parent.name}-{path.name}")
    if home.is_dir():
        do(f"{login}: home archived as {target}")
        result["home"] = str(target)
        if not check:
            home.rename(target)
    return result


def unlink_as(action: Callable[[Callable[[], None]], bool], links: dict[Path, Path]) -> list[str]:
    """Take away the links to a project's folders that the platform made in a home.

    :param action: runs a function with the rights of the home's owner.
    :param links: where each link would lead.
    """
    gone = [link for link, target in links.items() if link.is_symlink() and link.readlink() == target]

    def remove() -> None:
        for link in gone:
            link.unlink()

    return [f"{link}: link removed" for link in gone] if gone and action(remove) else []
