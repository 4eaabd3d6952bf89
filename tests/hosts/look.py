"""look.py: print as JSON what a host allows. Runs on the host, as root, with Debian's Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SHARED = ("/opt/atelier/conda/envs/", "/opt/atelier/jupyter/bin/", "/etc/jupyter/")
SCRATCH = ("/tmp", "/var/tmp")  # noqa: S108 - looked at, not used
KERNELS = "/opt/atelier/jupyter/projects/"


def run(*command: str) -> tuple[int, str]:
    """Exit status and output of a command."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def members() -> list[str]:
    """Two of the project members whose accounts are open."""
    shadow = {line.split(":")[0]: line.split(":")[7] for line in Path("/etc/shadow").read_text().splitlines()}
    people = (line.split(":") for line in Path("/etc/passwd").read_text().splitlines())
    found = [p[0] for p in people if 100000 <= int(p[2]) < 1000000 and p[6] == "/bin/bash" and not shadow.get(p[0])]
    return sorted(found)[:2]


def walk() -> dict[str, list[str]]:
    """Files that everybody may write, that run with another's rights, or that members cannot read."""
    seen: dict[str, list[str]] = {"writable": [], "setuid": [], "unreadable": []}
    roots = ["/", *(folder for folder in ("/home", "/srv/data", *SCRATCH) if os.path.ismount(folder))]
    shared = " -o ".join(f"-path {folder}*" for folder in SHARED)
    private = f"( ( {shared} ) ! -perm -0004 ) -o ( -path {KERNELS}*/* ! -perm -0040 )"
    rule = f"( -perm -0002 ! ( -type d -perm -1000 ) ) -o ( -type f -perm /6000 ) -o {private}"
    words = ["find", *roots, "-xdev", "!", "-type", "l", "(", *rule.split(), ")", "-printf", r"%#m %y %p\n"]
    for line in run(*words)[1].splitlines():
        mode, kind, path = line.split(" ", 2)
        bits = int(mode, 8)
        if bits & 0o002 and not (kind == "d" and bits & 0o1000):
            seen["writable"].append(path)
        if kind == "f" and bits & 0o6000:
            seen["setuid"].append(path)
        if path.startswith((*SHARED, KERNELS)):
            seen["unreadable"].append(path)
    return seen


def foreign(paths: list[str]) -> list[str]:
    """Those of the files that no Debian package brought (some know a file of /usr/bin as one of /bin)."""
    lists = {line for f in Path("/var/lib/dpkg/info").glob("*.list") for line in f.read_text().splitlines()}
    return [path for path in paths if path not in lists and path.removeprefix("/usr") not in lists]


def main() -> None:
    """Print what there is."""
    files = walk()
    listening = [line.split()[3] for line in run("ss", "-Hlnt")[1].splitlines()]
    loopback = ("127.", "[::1]", "[::ffff:127.")
    bundle = Path("/etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE")
    paths = (*SCRATCH, "/dev/shm", "/home")  # noqa: S108
    json.dump(
        {
            "mounts": {p: run("findmnt", "-no", "OPTIONS", p)[1].split(",") for p in paths},
            "umask": {
                who: run("su", "-", who, "-c", "umask")[1].split()[-1:] for who in ["root", "datalab-admin", *members()]
            },
            "umask of become": run("su", "-", "datalab-admin", "-c", "sudo sh -c umask")[1],
            "way out": run("curl", "-s", "-m", "2", "-o", "/dev/null", "http://1.1.1.1/")[0] == 0,
            "sshd": run("sshd", "-T")[1].splitlines(),
            "authorities added": bundle - len(list(Path("/usr/share/ca-certificates").rglob("*.crt"))),
            "listening": sorted({int(a.rpartition(":")[2]) for a in listening if not a.startswith(loopback)}),
            "left": sorted(
                f"{folder}/{p.name}"
                for folder in SCRATCH
                for p in Path(folder).iterdir()
                if not p.name.startswith(("systemd-private-", ".X", ".ICE-unix", ".XIM-unix", ".font-unix"))
            ),
            "writable": files["writable"],
            "foreign setuid": foreign(files["setuid"]),
            "unreadable": files["unreadable"],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
