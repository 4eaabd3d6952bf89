"""Host images: built from `recipes.yml`, cached by content in podman's image store.

A host image is `localhost/atelier-lab/<key>:<hash>`; its base is `localhost/atelier-lab/base-<key>:<hash>`. The hash
covers everything that decides the result except the day's package versions, so an image is built once per machine
whatever the number of checkouts.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lab.errors import LabError
from lab.identity import cache_dir

HERE = Path(__file__).parent
REPOSITORY = "localhost/atelier-lab"
CORE_IT_ACCOUNT = "210987654321"
BUILDER_VERSION = 3  # goes up when this file changes what an image contains
Say = Callable[[str], None]


def recipes() -> dict[str, Any]:
    """Return the recipes as written."""
    return yaml.safe_load((HERE / "recipes.yml").read_text(encoding="utf-8"))


def digest(value: Any) -> str:
    """Return 12 hexadecimal digits that change with `value` (anything JSON can write)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def image_name(key: str) -> str:
    """Return the name core IT gives the image `key`, with its date."""
    return f"core-it-{key}-{recipes()['hosts'][key]['date'].replace('-', '')}"


def ami_id(key: str) -> str:
    """Return the AMI id of the host image `key`: the same in every lab, so that the marker in the image can hold it."""
    return "ami-0" + hashlib.sha256(image_name(key).encode()).hexdigest()[:16]


def base_tag(key: str, book: dict[str, Any] | None = None) -> str:
    """Return the name of the base image `key`."""
    book = book or recipes()
    return f"{REPOSITORY}/base-{key}:{digest([BUILDER_VERSION, book['bases'][key]])}"


def host_tag(key: str, book: dict[str, Any] | None = None) -> str:
    """Return the name of the host image `key`; raises LabError for an unknown key."""
    book = book or recipes()
    if key not in book["hosts"]:
        raise LabError(f"no host image '{key}'; lab/images/recipes.yml has: {', '.join(sorted(book['hosts']))}")
    host = book["hosts"][key]
    layers = [book["layers"][name] for name in host["layers"]]
    sources = {
        item["source"]: (HERE / "files" / item["source"]).read_text(encoding="utf-8")
        for layer in layers
        for item in layer.get("files", [])
    }
    return f"{REPOSITORY}/{key}:{digest([base_tag(host['base'], book), host, layers, sources])}"


def marker(key: str, book: dict[str, Any]) -> dict[str, Any]:
    """Return what core IT writes into the image about the image."""
    host = book["hosts"][key]
    return {
        "image_id": ami_id(key),
        "name": image_name(key),
        "os": host["base"],
        "date": host["date"],
        "approved": host["approved"],
    }


def apt_mirror(texts: list[str]) -> str:
    """Return the address of the Debian archive that these apt source files (both formats) name.

    Security and third-party archives do not hold a whole release: an entry counts when one of its suites is a plain
    release name and its component is `main`.
    """
    for text in texts:
        for stanza in re.split(r"\n\s*\n", text):
            fields = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.+)$", stanza, flags=re.MULTILINE))
            if "main" in fields.get("Components", "").split() and _plain(fields.get("Suites", "").split()):
                return fields["URIs"].split()[0]
        for line in text.splitlines():
            found = re.match(r"deb\s+(?:\[[^]]*]\s+)?(\S+)\s+(\S+)\s+(.*)", line)
            if found and "main" in found[3].split() and _plain([found[2]]):
                return found[1]
    raise LabError("no Debian archive in /etc/apt/sources.list or /etc/apt/sources.list.d: the host images need one")


def _plain(suites: list[str]) -> bool:
    known = {"bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"}
    return bool(known & set(suites))


def machine_mirror() -> str:
    """Return the archive this machine installs Debian packages from."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    return apt_mirror(
        [f.read_text(encoding="utf-8") for f in files if f.is_file() and f.suffix in {".list", ".sources"}]
    )


def missing(keys: list[str] | None = None) -> list[str]:
    """Return those of the host images (all when None) that are not in podman's store."""
    book = recipes()
    return [key for key in keys or list(book["hosts"]) if not _exists(host_tag(key, book))]


def ensure(say: Say, keys: list[str] | None = None) -> dict[str, str]:
    """Build what is missing and return key -> image name. One machine builds one image once, whoever asks."""
    book = recipes()
    wanted = keys or list(book["hosts"])
    if missing(wanted):
        with _lock():
            absent = missing(wanted)
            with ThreadPoolExecutor() as pool:  # mmdebstrap keeps one processor busy
                list(
                    pool.map(
                        lambda base: _ensure_base(base, book, say), sorted({book["hosts"][k]["base"] for k in absent})
                    )
                )
            for key in absent:
                _build_host(key, book, say)
    return {key: host_tag(key, book) for key in wanted}


def _podman(*words: str, **options: Any) -> str:
    result = subprocess.run(["podman", *words], capture_output=True, text=True, check=False, **options)
    if result.returncode:
        raise LabError(f"podman {words[0]} failed: {result.stderr.strip()[-600:]}")
    return result.stdout.strip()


def _exists(tag: str) -> bool:
    return subprocess.run(["podman", "image", "exists", tag], check=False).returncode == 0


@contextmanager
def _lock() -> Iterator[None]:
    path = cache_dir() / "images.lock"
    with path.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _ensure_base(key: str, book: dict[str, Any], say: Say) -> None:
    tag = base_tag(key, book)
    if _exists(tag):
        return
    base = book["bases"][key]
    archive = cache_dir() / f"{key}.tar"
    log = cache_dir() / f"{key}.log"
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--format=tar",
        "--dpkgopt=force-unsafe-io",
        f"--include={','.join(base['packages'])}",
    ]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in base["without"]]
    started = time.monotonic()
    say(f"image {key}: Debian {base['suite']} with {len(base['packages'])} packages")
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, base["suite"], str(archive), machine_mirror()], stdout=output, stderr=subprocess.STDOUT
        )
        _watch(process, log, lambda line: say(f"image {key}: {line} ({time.monotonic() - started:.0f} s)"))
    if process.returncode:
        raise LabError(f"mmdebstrap failed for {key}: {_tail(log)}\nThe whole log: {log}")
    _podman("import", "--quiet", str(archive), tag)
    archive.unlink()
    say(f"image {key}: base ready ({time.monotonic() - started:.0f} s)")


def _watch(process: subprocess.Popen[bytes], log: Path, tell: Callable[[str], None]) -> None:
    """Wait for mmdebstrap and tell each of its own steps (lines that start with `I: `) once."""
    told = 0
    while True:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            steps = [line[3:] for line in log.read_text(errors="replace").splitlines() if line.startswith("I: ")]
            if len(steps) > told:
                tell(steps[-1])
                told = len(steps)
            continue
        return


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])


def _build_host(key: str, book: dict[str, Any], say: Say) -> None:
    host = book["hosts"][key]
    container = _podman("create", base_tag(host["base"], book), "/usr/lib/lab/init")
    try:
        root = Path(_podman("mount", container))
        for name in host["layers"]:
            apply_layer(root, book["layers"][name], marker(key, book))
        _podman("umount", container)
        _podman(
            "commit", "--quiet", "--change", 'CMD ["/usr/lib/lab/init"]', "--change", f"LABEL atelier.image={key}",
            container, host_tag(key, book),
        )  # fmt: skip
    finally:
        _podman("rm", "--force", container)
    say(f"image {key}: ready as {host_tag(key, book)}")


def apply_layer(root: Path, layer: dict[str, Any], about: dict[str, Any]) -> None:
    """Apply one layer of a recipe to the file system under `root`. Applying it twice changes nothing more."""
    for pattern in layer.get("remove", []):
        for path in glob.glob(str(root / pattern.lstrip("/"))):  # noqa: PTH207 (Path.glob wants a relative pattern)
            _remove(Path(path))
    for item in layer.get("files", []):
        path = _inside(root, item["path"])
        shutil.copyfile(HERE / "files" / item["source"], path)
        path.chmod(int(item.get("mode", "0644"), 8))
    for unit in layer.get("mask", []):
        _link(_inside(root, f"/etc/systemd/system/{unit}"), "/dev/null")
    for item in layer.get("links", []):
        _link(_inside(root, item["path"]), item["target"])
    for item in layer.get("lines", []):
        _set_line(_inside(root, item["path"]), item["match"], item["line"])
    if "marker" in layer:
        _inside(root, layer["marker"]).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _inside(root: Path, path: str) -> Path:
    result = root / path.lstrip("/")
    result.parent.mkdir(parents=True, exist_ok=True)
    return result


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _set_line(path: Path, match: str, line: str) -> None:
    """Replace the lines that match by one, or add it at the end."""
    text = path.read_text(encoding="utf-8")
    new, count = re.subn(match, line, text, flags=re.MULTILINE)
    path.write_text(new if count else f"{text.rstrip()}\n{line}\n", encoding="utf-8")
