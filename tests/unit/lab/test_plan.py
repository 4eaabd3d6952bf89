"""The mirror's decisions, against a model of a machine: carried out in any order, they end, and end right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab import plan
from lab.cloud import GONE, Instance, Volume
from lab.plan import Action, Disks, Host

IDS = [f"i-{n}" for n in range(4)]
VOLUMES = [f"vol-{n}" for n in range(4)]
STATES = ["pending", "running", "stopping", "stopped", "shutting-down", "terminated"]


@st.composite
def desired(draw: st.DrawFn) -> dict[str, Instance]:
    free = draw(st.lists(st.sampled_from(VOLUMES), unique=True))
    result = {}
    for identifier in draw(st.lists(st.sampled_from(IDS), unique=True)):
        count = draw(st.integers(0, len(free)))
        mine, free = free[:count], free[count:]
        state = draw(st.sampled_from(STATES))
        volumes = tuple(Volume(name, 1) for name in sorted(mine))
        result[identifier] = Instance(identifier, state, "10.0.0.4", "subnet-1", "10.0.0.0/24", volumes=volumes)
    return result


HOSTS = st.builds(Host, st.booleans(), st.booleans(), st.frozensets(st.sampled_from(VOLUMES)))
ACTUAL = st.dictionaries(st.sampled_from(IDS), HOSTS)
SETS = st.frozensets(st.sampled_from(VOLUMES))
DISKS = st.builds(Disks, SETS, SETS, SETS)


def carry_out(action: Action, wanted: dict[str, Instance], hosts: dict[str, Host], disks: Disks) -> Disks:
    """What the action does to the model of the machine."""
    kind, target = action.kind, action.target
    shown = frozenset(v.id for v in wanted[target].volumes) if target in wanted else frozenset()
    if kind in {"create", "start", "replug", "volumes"}:
        hosts[target] = Host(running=True, plugged=True, volumes=shown)
        return Disks(disks.existing, disks.kept | shown, disks.opened | shown)
    if kind == "stop":
        hosts[target] = Host(running=False, plugged=False, volumes=hosts[target].volumes)
    if kind == "remove":
        del hosts[target]
    kept = disks.kept - {target} if kind == "forget" else disks.kept
    opened = disks.opened - {target} if kind in {"forget", "release"} else disks.opened
    return Disks(disks.existing, kept, opened)


@given(desired(), ACTUAL, DISKS, st.randoms(use_true_random=False))
def test_it_ends_and_ends_as_ec2_says(wanted: dict[str, Instance], hosts: dict, disks: Disks, random: object) -> None:
    disks = Disks(disks.existing | {v.id for i in wanted.values() for v in i.volumes}, disks.kept, disks.opened)
    hosts = dict(hosts)
    for _ in range(6):
        todo = plan.make(wanted, hosts, disks)
        actions = list(todo.actions)
        random.shuffle(actions)
        for action in actions:
            disks = carry_out(action, wanted, hosts, disks)
    assert not plan.make(wanted, hosts, disks)
    up = {i for i, instance in wanted.items() if instance.state in plan.RUNNING}
    assert {i for i, host in hosts.items() if host.running} == up
    assert all(hosts[i].volumes == {v.id for v in wanted[i].volumes} for i in up)
    assert not {i for i in hosts if i not in wanted or wanted[i].state in GONE}
    assert disks.kept <= disks.existing
    assert disks.opened == {v.id for i in up for v in wanted[i].volumes}


@given(desired(), ACTUAL, DISKS)
def test_one_step_at_a_time_and_no_data_lost(wanted: dict[str, Instance], hosts: dict, disks: Disks) -> None:
    actions = plan.make(wanted, hosts, disks).actions
    assert len({action.target for action in actions}) == len(actions)
    for action in actions:
        if action.kind == "remove":
            assert action.target not in wanted or wanted[action.target].state in GONE
        if action.kind == "forget":
            assert action.target not in disks.existing
        if action.kind in {"release", "forget"}:
            assert not any(host.running and action.target in host.volumes for host in hosts.values())


def test_a_stopped_instance_that_never_ran_here_gets_no_host() -> None:
    stopped = Instance("i-0", "stopped", "10.0.0.4", "subnet-1", "10.0.0.0/24")
    assert not plan.make({"i-0": stopped}, {})


def test_addresses_are_freed_before_they_are_taken() -> None:
    fresh = Instance("i-1", "running", "10.0.0.4", "subnet-1", "10.0.0.0/24")
    actions = plan.make({"i-1": fresh}, {"i-0": Host(running=True)}).actions
    assert actions == (Action("remove", "i-0"), Action("create", "i-1"))
