"""Plans and carries out what conda_env was asked for."""

from __future__ import annotations

import inspect
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _conda_engine
from ansible_collections.atelier.datalab.plugins.module_utils._conda import (
    CondaError,
    Package,
    Spec,
    check_specs,
    difference,
    explain,
    mirror_map,
)
from ansible_collections.atelier.datalab.plugins.module_utils._conda_store import (
    Environment,
    Generation,
    generation_of,
    locked,
    seal,
)


@dataclass
class Plan:
    """What is to happen to one environment."""

    spec: Spec
    environment: Environment
    live: Generation | None
    solve: bool = False
    build: bool = False
    switch: bool = False
    generation: str | None = None
    lock: str = ""
    packages: list[Package] = field(default_factory=list)
    why: str = ""
    removed: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the environment will not be what it was."""
        return self.build or self.switch

    def before(self) -> list[Package]:
        """Return the packages in service before; none when their list is damaged."""
        try:
            return self.live.packages() if self.live else []
        except (OSError, ValueError):
            return []

    def diff(self) -> dict[str, str]:
        """Return the change for people."""
        lines = difference(self.before(), self.packages).lines()
        old = self.live.name if self.live else "none"
        new = self.generation or ("none" if self.spec.state == "absent" else "not known yet")
        title = f"{self.spec.name}: {self.why} (generation {old} -> {new})"
        return {"prepared": "\n".join([title, *(f"  {line}" for line in lines)]) + "\n"}

    def result(self) -> dict[str, Any]:
        """Return the environment's part of the module's result."""
        shown = {"lock": self.lock} if self.changed or self.spec.state == "locked" else {}
        return {
            "name": self.spec.name,
            "changed": self.changed,
            "generation": self.generation,
            "previous": self.live.name if self.live else None,
            "path": str(self.environment.current),
            "packages": self.packages,
            "removed": self.removed,
            **shown,
        }


class Converger:
    """Plans and carries out what the module was asked for."""

    def __init__(self, options: dict[str, Any], check: bool, scratch: Path) -> None:
        """``options`` are the module's parameters, ``scratch`` a folder that Ansible removes."""
        self.root = Path(options["root"])
        self.options = options
        self.check = check
        self.scratch = scratch
        self.warnings: list[str] = []

    def engine(self) -> Path | None:
        """Return the engine's folder, None when there is none."""
        if self.options["engine"]:
            found = [Path(self.options["engine"])]
        else:
            versions = [p for p in self.root.glob("engine/*") if not p.name.startswith(".")]
            found = sorted(versions, key=lambda p: [int(n) for n in p.name.split(".") if n.isdigit()])
        return found[-1] if found and (found[-1] / "rattler").is_dir() else None

    def plan(self, spec: Spec) -> Plan:
        """Return what the files say about one environment, before anything is solved."""
        environment = Environment(self.root, spec.name)
        plan = Plan(spec, environment, environment.live())
        if spec.state == "absent":
            plan.switch, plan.why = plan.live is not None, "archived"
        elif spec.state == "locked":
            plan.solve = True
        else:
            self._plan_presence(plan)
        return plan

    def _plan_presence(self, plan: Plan) -> None:
        candidate = plan.live or plan.environment.put_away()
        if candidate is None:
            plan.solve, plan.why = True, "new"
        elif candidate.spec() != plan.spec.document():
            plan.solve, plan.why = True, "the spec changed"
        elif self.options["refresh"]:
            plan.solve, plan.why = True, "refreshed"
        else:
            self._plan_kept(plan, candidate)

    def _plan_kept(self, plan: Plan, candidate: Generation) -> None:
        """The spec is unchanged: check what is there, bring it back where it was put away."""
        damage = candidate.damage()
        try:
            plan.packages, plan.lock, plan.generation = candidate.packages(), candidate.lock(), candidate.name
        except (OSError, ValueError):
            plan.solve = True
        plan.build, plan.why = bool(damage), f"{damage} is damaged" if damage else "put back"
        plan.switch = plan.live is None

    def solve(self, plans: list[Plan]) -> None:
        """Fill in locks and generations of the plans that need solving."""
        wanted = [
            {
                "name": plan.spec.name,
                "packages": list(plan.spec.packages),
                "channels": list(plan.spec.channels),
                "lock": plan.spec.lock,
                "keep": self._kept_lock(plan),
            }
            for plan in plans
            if plan.solve
        ]
        if not wanted:
            return
        # Check mode writes nothing below root, not even a cache.
        cache = self.scratch / "cache" if self.check else self.root / "pkgs"
        answers = self._call("solve", cache, wanted)
        for plan in plans:
            if plan.solve:
                plan.lock, plan.packages = answers[plan.spec.name]["lock"], answers[plan.spec.name]["packages"]
                self._settle(plan)

    def _kept_lock(self, plan: Plan) -> str:
        if plan.live is None or self.options["refresh"]:
            return ""
        try:
            return plan.live.lock()
        except OSError:
            return ""

    def _settle(self, plan: Plan) -> None:
        """Decide from the lock what is to be built and switched."""
        plan.generation = generation_of(plan.packages, plan.spec.name)
        if plan.spec.state == "locked":
            return
        ready = plan.environment.find(plan.generation)
        plan.build = ready is None or bool(ready.damage())
        same = plan.live is not None and plan.live.name == plan.generation
        plan.switch = not same or plan.live.spec() != plan.spec.document()

    def _call(
        self, operation: str, cache: Path, wanted: list[dict[str, Any]], held: tuple[int, ...] = ()
    ) -> dict[str, dict[str, Any]]:
        """Ask the engine; CondaError that names every environment it could not serve."""
        request = {
            "operation": operation,
            "engine": str(self.engine()),
            "cache": str(cache),
            "mirrors": mirror_map(self.options["mirrors"]),
            "environments": wanted,
        }
        answers = _conda_engine.call(inspect.getsource(_conda_engine), request, held)
        errors = {name: answer["error"] for name, answer in answers.items() if "error" in answer}
        if errors:
            raise CondaError(explain(errors))
        return answers

    def apply(self, plans: list[Plan], descriptor: int) -> None:
        """Carry the plans out, one environment after the other; ``descriptor`` holds the lock."""
        os.umask(0o022)  # everybody on the host reads environments
        for plan in plans:
            if plan.build:
                self._build(plan, descriptor)
            if plan.changed:
                self._switch(plan)

    def _build(self, plan: Plan, descriptor: int) -> None:
        environment = plan.environment
        environment.generations.mkdir(parents=True, exist_ok=True)
        environment.clear_staging()
        staging = environment.staging(plan.generation)
        prefix = environment.generations / plan.generation
        wanted = {
            "name": plan.spec.name,
            "lock": plan.lock,
            "staging": str(staging),
            "prefix": str(prefix),
        }
        try:
            self._call("install", self.root / "pkgs", [wanted], (descriptor,))
            seal(staging, plan.spec, plan.lock, plan.packages)
            environment.publish(plan.generation)
        except (CondaError, OSError):
            shutil.rmtree(staging, ignore_errors=True)  # a full disk gets its space back
            raise

    def _switch(self, plan: Plan) -> None:
        environment = plan.environment
        if plan.spec.state == "absent":
            environment.archive()
            return
        generation = environment.find(plan.generation)
        generation.adopt(plan.spec)
        environment.switch(generation)
        try:
            plan.removed = environment.prune(self.options["keep"])
        except OSError as error:
            self.warnings.append(f"environment {environment.name}: old generations could not be removed: {error}")

    def run(self, specs: list[Spec]) -> list[Plan]:
        """Plan, solve and (outside check mode) carry out; return the plans."""
        check_specs(specs)
        plans = [self.plan(spec) for spec in specs]
        if not any(plan.solve or plan.changed for plan in plans):
            return plans
        if self.engine() is None and any(plan.solve or plan.build for plan in plans):
            return self._without_engine(plans)
        if self.check:
            self.solve(plans)
            return plans
        with locked(self.root) as descriptor:
            plans = [self.plan(spec) for spec in specs]  # an earlier run may have ended meanwhile
            self.solve(plans)
            self.apply(plans, descriptor)
        return plans

    def _without_engine(self, plans: list[Plan]) -> list[Plan]:
        """A host of which only check mode was run yet: what is missing will change."""
        if not self.check:
            raise CondaError(f"there is no engine below {self.root}/engine; run role atelier.datalab.conda first")
        self.warnings.append("the engine is not installed yet: packages are not known in check mode")
        for plan in plans:
            plan.switch = plan.switch or (plan.solve and plan.spec.state == "present")
        return plans
