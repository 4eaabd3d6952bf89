"""What binds a unit, in the kernel's own numbers."""

from __future__ import annotations

from testinfra.host import Host


def unit(login: str) -> str:
    """The unit of a member's server."""
    return f"jupyter-{login}-singleuser.service"


class Groups:
    """The kernel's own numbers of a unit."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.path = host.check_output(f"systemctl show --property ControlGroup --value {name}")

    def read(self, v1: str, v2: str) -> str:
        """A file of the unit's control group, by its name in each version."""
        controller, name = v1.split("/")
        old, new = f"/sys/fs/cgroup/{controller}{self.path}/{name}", f"/sys/fs/cgroup{self.path}/{v2}"
        return self.host.check_output(f"cat {old} 2>/dev/null || cat {new}")

    @property
    def memory(self) -> int:
        """Limit in bytes."""
        return int(self.read("memory/memory.limit_in_bytes", "memory.max"))

    @property
    def used(self) -> int:
        """Bytes held by processes."""
        lines = dict(line.split() for line in self.read("memory/memory.stat", "memory.stat").splitlines())
        return int(lines.get("total_rss", lines.get("anon", 0)))

    @property
    def killed(self) -> int:
        """Processes killed because memory ran out."""
        lines = self.read("memory/memory.oom_control", "memory.events").splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])

    @property
    def throttled(self) -> int:
        """Periods in which the quota was used up."""
        return int(dict(line.split() for line in self.read("cpu/cpu.stat", "cpu.stat").splitlines())["nr_throttled"])

    @property
    def processors(self) -> float:
        """Quota in processors."""
        if self.host.file("/sys/fs/cgroup/cpu").exists:
            quota, period = self.read("cpu/cpu.cfs_quota_us", ""), self.read("cpu/cpu.cfs_period_us", "")
        else:
            quota, period = self.read("cpu/none", "cpu.max").split()
        return int(quota) / int(period)
