"""Plans and carries out what conda_env was asked for."""

from __future__ import annotations

import inspect
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.atelier.datalab.plugins.module_utils import _conda_report, _conda_sources
from ansible_collections.atelier.datalab.plugins.module_utils._conda import (
    CondaError,
    Package,
    Spec,
    check_specs,
    difference,
    explain,
)
from ansible_collections.atelier.datalab.plugins.module_utils._conda_build import (
    altered,
    describe,
    owners,
    seal,
    try_imports,
)
from ansible_collections.atelier.datalab.plugins.module_utils._conda_lock import Lock, check_locks, lock_file, stale
from ansible_collections.atelier.datalab.plugins.module_utils._conda_store import (
    ROLLED_BACK,
    Environment,
    Generation,
    forget_packages,
    generation_of,
    locked,
    prune_packages,
    unpack_engine,
    write_lock,
    write_report,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

_SHOWN = 5  # files named in a line
LOCKING_SECONDS = 120  # how long a solve waits for another one that uses the same folder


@dataclass
class Plan:
    """What is to happen to one environment."""

    spec: Spec
    environment: Environment
    live: Generation | None
    solve: bool = False
    build: bool = False
    switch: bool = False
    write: Path | None = None
    before: list[Package] = field(default_factory=list)
    generation: str | None = None
    lock: str = ""
    packages: list[Package] = field(default_factory=list)
    document: dict[str, Any] | None = None
    held: bool = False
    why: str = ""
    damaged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the environment will not be what it was."""
        return self.build or self.switch or self.write is not None

    def diff(self) -> dict[str, str]:
        """Return the change for people."""
        # A first lock is all new: the file itself tells it better.
        lines = difference(self.before, self.packages).lines() if self.before or not self.write else []
        old = self.live.name if self.live else "none"
        new = self.generation or ("none" if self.spec.state == "absent" else "not known yet")
        where = f"{self.write}, {len(self.packages)} packages" if self.write else f"generation {old} -> {new}"
        title = f"{self.spec.name}: {self.why} ({where})"
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
            "damaged": self.damaged,
            "held": self.environment.held(),
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
        self.installing = threading.Lock()

    def engine(self) -> Path | None:
        """Return the engine's folder, None when there is none."""
        if self.options["engine"] and self.options["engine"].endswith(".whl"):
            found = [unpack_engine(Path(self.options["engine"]), self.scratch if self.check else self.root)]
        elif self.options["engine"]:
            found = [Path(self.options["engine"])]
        else:
            versions = [p for p in self.root.glob("engine/*") if not p.name.startswith(".")]
            found = sorted(versions, key=lambda p: [int(n) for n in p.name.split(".") if n.isdigit()])
        return found[-1] if found and (found[-1] / "rattler").is_dir() else None

    def plan(self, spec: Spec) -> Plan:
        """Return what the files say about one environment, before anything is solved."""
        environment = Environment(self.root, spec.name)
        plan = Plan(spec, environment, environment.live(), document=spec.document())
        plan.before = _packages(plan.live)
        if spec.state in ("rolled_back", "verified"):
            self._plan_live(plan)
        elif spec.state == "absent":
            plan.switch, plan.why = plan.live is not None, "archived"
        elif spec.state == "locked":
            self._plan_lock(plan)
        else:
            self._plan_presence(plan)
        return plan

    def _plan_lock(self, plan: Plan) -> None:
        plan.solve = True
        if not self.options["locks"]:
            return
        file = lock_file(Path(self.options["locks"]), plan.spec.name)
        plan.lock = file.read_text(encoding="utf-8") if file.exists() else ""
        old = stale(plan.spec, plan.lock) if plan.lock else "new"
        plan.why = old or ("refreshed" if self.options["refresh"] else "")
        plan.solve = bool(plan.why)
        plan.write = file if plan.solve else None

    def _plan_live(self, plan: Plan) -> None:
        """Plan what concerns the generation in service: go back from it, or compare it with what was built."""
        if plan.live is None:
            raise CondaError(f"environment {plan.spec.name}: nothing of that name is in service on this host")
        plan.generation, plan.packages, plan.document = plan.live.name, plan.before, plan.live.spec()
        if plan.spec.state == "rolled_back":
            self._plan_rollback(plan, plan.environment)
            return
        try:
            manifest, plan.lock = plan.live.manifest(), plan.live.lock()
        except (OSError, ValueError) as error:
            raise CondaError(
                f"environment {plan.spec.name}: the records of generation {plan.live.name} are damaged ({error}); "
                "converge role atelier.datalab.conda, which builds it again"
            ) from error
        found = describe(plan.live.path, manifest)
        plan.damaged = [name for name, expected in manifest.items() if found[name] != expected]
        plan.build = bool(plan.damaged)
        shown = ", ".join(plan.damaged[:_SHOWN]) + (" ..." if len(plan.damaged) > _SHOWN else "")
        plan.why = f"{len(plan.damaged)} of {len(manifest)} files are not what was installed: {shown}"

    def _plan_rollback(self, plan: Plan, environment: Environment) -> None:
        wanted = plan.spec.generation
        target = environment.find(wanted) if wanted else environment.previous()
        if target is None:
            names = ", ".join(p.name for p in sorted(environment.generations.glob("[!.]*")) if p.name != plan.live.name)
            raise CondaError(
                f"environment {plan.spec.name}: there is no "
                + (f"generation {wanted}" if wanted else f"earlier generation than {plan.live.name}")
                + f"; beside the live one there is: {names or 'none'}"
            )
        plan.generation, plan.packages = target.name, _packages(target)
        plan.switch = target.name != plan.live.name
        plan.why = f"{ROLLED_BACK}{': ' if plan.spec.reason else ''}{plan.spec.reason}"

    def _plan_presence(self, plan: Plan) -> None:
        held = plan.environment.held()
        if held and held["spec"] == plan.document and not self.options["refresh"]:
            # What an operator decided stays until the data says something new.
            self.warnings.append(
                f"environment {plan.spec.name} stays at generation {held['generation']}, to which it was rolled back "
                f"on {held['at']} ({held['reason'] or 'no reason given'}). A new lock or spec ends that, and so does "
                f"rolling back to {held['from']}."
            )
            plan.held, plan.document = True, plan.live.spec()
            self._plan_kept(plan, plan.live)
            return
        candidate = plan.live or plan.environment.put_away()
        if candidate is None:
            plan.solve, plan.why = True, "new"
        elif candidate.spec() != plan.document:
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
        if candidate.moved and not damage and not self.check:
            candidate.settle()

    def solve(self, plans: list[Plan]) -> None:
        """Fill in locks and generations of the plans that need solving."""
        wanted = [
            {
                "name": plan.spec.name,
                "packages": list(plan.spec.packages),
                "channels": list(plan.spec.channels),
                "lock": Lock.parse(plan.spec.lock).conda if plan.spec.lock else "",
                "keep": self._kept_lock(plan),
                "refresh": self.options["refresh"],
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
                answer = answers[plan.spec.name]
                plan.packages = answer["packages"]
                if plan.write:
                    plan.before = answer["kept"]
                self._settle(plan, answer["lock"])

    def _kept_lock(self, plan: Plan) -> str:
        """Return the lock whose versions are kept where they can be."""
        if plan.write:
            return Lock.parse(plan.lock).conda if plan.lock else ""
        try:
            return Lock.parse(plan.live.lock()).conda if plan.live else ""
        except OSError:
            return ""

    def _settle(self, plan: Plan, conda: str) -> None:
        """Decide from the lock what is to be built, switched or written."""
        before = plan.lock
        plan.lock = plan.spec.lock or self._compose(plan, conda)
        plan.generation = generation_of(plan.packages, Lock.parse(plan.lock).pip, plan.spec.name)
        if plan.spec.state == "locked":
            plan.write = plan.write if plan.lock != before else None
            return
        ready = plan.environment.find(plan.generation)
        plan.build = ready is None or bool(ready.damage())
        same = plan.live is not None and plan.live.name == plan.generation
        plan.switch = not same or plan.live.spec() != plan.document

    def _compose(self, plan: Plan, conda: str) -> str:
        """Return the lock's text, with the pip section locked too."""
        pip = ""
        if plan.spec.pip:
            from ansible_collections.atelier.datalab.plugins.module_utils import _conda_pip  # noqa: PLC0415

            kept = Lock.parse(plan.lock).pip if plan.lock and not self.options["refresh"] else ""
            pip = _conda_pip.compile_lock(plan.spec, plan.packages, kept, self.options)
        return Lock(conda, pip, plan.spec.wanted()).text(plan.spec.name, self.options["virtual_packages"])

    def _call(
        self, operation: str, cache: Path, wanted: list[dict[str, Any]], held: tuple[int, ...] = ()
    ) -> dict[str, dict[str, Any]]:
        """Ask the engine; CondaError that names every environment it could not serve."""
        # A run that changes nothing does without what takes longest to load.
        from ansible_collections.atelier.datalab.plugins.module_utils import _conda_engine  # noqa: PLC0415

        request = {
            "operation": operation,
            "engine": str(self.engine()),
            "cache": str(cache),
            "virtual": self.options["virtual_packages"],
            "environments": wanted,
            **_conda_sources.prepare(self.options),
        }
        answers = _conda_engine.call(inspect.getsource(_conda_engine), request, held)
        errors = {name: answer["error"] for name, answer in answers.items() if "error" in answer}
        if errors:
            raise CondaError(explain(errors))
        return answers

    def apply(self, plans: list[Plan], descriptor: int) -> None:
        """Carry the plans out; ``descriptor`` holds the lock.

        Raises:
            CondaError: names what could not be built; the others are in service.
        """
        os.umask(0o022)  # everybody on the host reads environments
        built = self._build_all([plan for plan in plans if plan.build], descriptor)
        errors = []
        for plan in plans:
            try:
                if plan.build:
                    built[plan.spec.name].result()
                if plan.write:
                    write_lock(plan.write, plan.lock)
                elif plan.changed:
                    self._switch(plan)
            except (CondaError, OSError) as error:
                errors.append(str(error))
        if errors:
            raise CondaError("\n".join(errors))
        if any(plan.build or plan.switch for plan in plans):
            write_report(self.root, inspect.getsource(_conda_report), self.options["command"])
        if any(plan.build for plan in plans):
            try:
                prune_packages(self.root)
            except OSError as error:
                self.warnings.append(f"unused packages could not be removed from {self.root}/pkgs: {error}")

    def _build_all(self, plans: list[Plan], descriptor: int) -> dict[str, Future[None]]:
        """Build side by side, as many as there are processors; return what became of each by its name."""
        if not plans:
            return {}
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a run that changes nothing does without

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return {plan.spec.name: pool.submit(self._build, plan, descriptor) for plan in plans}

    def _build(self, plan: Plan, descriptor: int) -> None:
        environment = plan.environment
        environment.generations.mkdir(parents=True, exist_ok=True)
        environment.clear_staging()
        staging = environment.staging(plan.generation)
        prefix = environment.generations / plan.generation
        wanted = {
            "name": plan.spec.name,
            "lock": Lock.parse(plan.lock).conda,
            "staging": str(staging),
            "prefix": str(prefix),
        }
        if prefix.is_dir():
            # Cache and generations share files: what was altered here is altered there.
            forget_packages(self.root, owners(prefix, altered(prefix)))
        pip = Lock.parse(plan.lock).pip
        try:
            with self.installing:  # the disk is what holds it up
                self._call("install", self.root / "pkgs", [wanted], (descriptor,))
            if pip:
                from ansible_collections.atelier.datalab.plugins.module_utils import _conda_pip  # noqa: PLC0415

                _conda_pip.install(plan.spec.name, pip, staging, prefix, self.options)
            seal(staging, plan.spec.name, plan.document, plan.lock, plan.packages)
            try_imports(staging, plan.spec.name, plan.spec.imports)
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
        if plan.spec.state == "rolled_back":
            self._go_back(plan, generation)
            return
        if not plan.build and plan.spec.state == "present":
            try_imports(generation.path, plan.spec.name, plan.spec.imports)
        generation.adopt(plan.document)
        environment.switch(generation, plan.why)
        if plan.spec.state == "present" and not plan.held:
            environment.release()
        try:
            plan.removed = environment.prune(self.options["keep"])
        except OSError as error:
            self.warnings.append(f"environment {environment.name}: old generations could not be removed: {error}")

    def _go_back(self, plan: Plan, generation: Generation) -> None:
        environment = plan.environment
        held = environment.held()
        if held and held["from"] == generation.name:
            environment.switch(generation, plan.why)
            environment.release()
        else:
            environment.hold(generation, plan.document, plan.spec.reason)
            environment.switch(generation, plan.why)

    def run(self, specs: list[Spec]) -> list[Plan]:
        """Plan, solve and (outside check mode) carry out; return the plans."""
        check_specs(specs)
        _conda_sources.check_sources(self.options)
        check_locks(specs, self.options["solve"])
        plans = [self.plan(spec) for spec in specs]
        if not any(plan.solve or plan.changed for plan in plans):
            return plans
        if self.engine() is None and any(plan.solve or plan.build for plan in plans):
            return self._without_engine(plans)
        if self.check:
            self.solve(plans)
            return plans
        # Solving alone may wait for its turn; a build that finds another one at work is told so.
        wait = LOCKING_SECONDS if all(plan.spec.state == "locked" for plan in plans) else 0
        with locked(self.root, wait) as descriptor:
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


def _packages(generation: Generation | None) -> list[Package]:
    """Return the packages of a generation; none when there is none or their list is damaged."""
    try:
        return generation.packages() if generation else []
    except (OSError, ValueError):
        return []
