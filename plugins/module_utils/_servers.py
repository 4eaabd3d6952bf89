# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pure logic of running servers: which of them began before the live generation of their environment."""

from __future__ import annotations

from collections.abc import Callable


def outdated(units: dict[str, dict[str, str]], live: str, program: Callable[[int], str]) -> list[dict[str, str]]:
    """Units that run a program of another generation than the live one, by name.

    :param units: properties by unit, as :func:`_units.read_states` returns them.
    :param live: folder of the live generation, links resolved.
    :param program: gives the path of a process's program, "" when the process is gone.
    :return: ``unit``, and ``generation``, the folder of the one that it runs.

    A unit whose program is in no generation (it has just started and is still a shell) is not counted.

    >>> seen = {7: "/envs/jupyter/generations/3/bin/python3.12", 8: "/envs/jupyter/generations/4/bin/python3.12"}
    >>> units = {"a.service": {"MainPID": "7"}, "b.service": {"MainPID": "8"}, "c.service": {"MainPID": "0"}}
    >>> outdated(units, "/envs/jupyter/generations/4", seen.get)
    [{'unit': 'a.service', 'generation': '/envs/jupyter/generations/3'}]
    """
    siblings = live.rsplit("/", 1)[0] + "/"
    found = []
    for name, properties in sorted(units.items()):
        pid = int(properties.get("MainPID", "0"))
        path = program(pid) if pid else ""
        if path.startswith(siblings) and not path.startswith(live + "/"):
            found.append({"unit": name, "generation": siblings + path[len(siblings) :].split("/", 1)[0]})
    return found
