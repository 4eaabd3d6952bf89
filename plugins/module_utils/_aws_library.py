"""What hosts need of AWS's library, out of its wheels: the code, and the data of the services they call. Pure.

The whole of botocore is 16 MB packed, nearly all of it descriptions of services that no host of ours calls.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

MOMENT = (1980, 1, 1, 0, 0, 0)  # the same wheels make the same bytes
_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)-.+\.whl")


class LibraryError(ValueError):
    """The wheels are not as asked."""


def choose(names: Iterable[str], wanted: dict[str, str]) -> list[str]:
    """The wheels of these versions among file names, in the order asked for.

    wanted: version by distribution, as the lock writes them.
    Raises LibraryError that names what is missing.
    """
    there = {}
    for name in names:
        if found := _WHEEL.fullmatch(name):
            there[found["name"].replace("_", "-").lower(), found["version"]] = name
    missing = [f"{name}=={version}" for name, version in wanted.items() if (name, version) not in there]
    if missing:
        raise LibraryError(", ".join(missing))
    return [there[one] for one in wanted.items()]


def keeps(name: str, services: Iterable[str]) -> bool:
    """Whether a file of a wheel is shipped.

    >>> [keeps(f"botocore/data/{service}/2014-03-28/service-2.json.gz", ["logs"]) for service in ("logs", "s3")]
    [True, False]
    >>> keeps("botocore/data/endpoints.json", []), keeps("botocore-1.0.dist-info/METADATA", [])
    (True, False)
    """
    parts = name.split("/")
    if parts[0].endswith((".dist-info", ".data")) or parts[-1].startswith("examples-"):
        return False
    return parts[:2] != ["botocore", "data"] or len(parts) == 3 or parts[2] in set(services)


def bundle(wheels: Iterable[Path], services: Iterable[str]) -> bytes:
    """One zip of what hosts need of the wheels; the same wheels give the same bytes.

    Raises LibraryError when a service is not one of botocore's.
    """
    services, made, found = list(services), io.BytesIO(), set()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as packed:
                for name in sorted(packed.namelist()):
                    if not name.endswith("/") and keeps(name, services):
                        found.add(name.split("/")[2] if name.startswith("botocore/data/") else "")
                        out.writestr(zipfile.ZipInfo(name, MOMENT), packed.read(name), zipfile.ZIP_DEFLATED)
    unknown = sorted(set(services) - found)
    if unknown:
        raise LibraryError(f"botocore knows no service {', '.join(unknown)}")
    return made.getvalue()
