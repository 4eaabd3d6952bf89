"""What is set on a unit that runs, and what waits."""

from __future__ import annotations

import apply_limits
import pytest

GIB = 2**30


def unit(memory: str = str(GIB), cpu: str = "1s", name: str = "jupyter-ines-singleuser.service") -> dict[str, str]:
    return {"Id": name, "MemoryMax": memory, "CPUQuotaPerSecUSec": cpu, "ControlGroup": "/x"}


@pytest.fixture(autouse=True)
def half_a_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_limits, "used", lambda _: GIB // 2)


def test_nothing_to_do_when_equal() -> None:
    assert apply_limits.changes(unit(cpu="1s 500ms"), {"memory": GIB, "cpu": 1.5}) == ([], "")
    assert apply_limits.changes(unit("infinity", "infinity"), {"memory": None, "cpu": None}) == ([], "")


def test_raised_and_lowered_above_use() -> None:
    todo, said = apply_limits.changes(unit(), {"memory": 2 * GIB, "cpu": 0.5})
    assert (todo, said) == ([f"MemoryMax={2 * GIB}", "MemorySwapMax=0", "CPUQuota=50%"], "")
    assert apply_limits.changes(unit(), {"memory": int(0.6 * GIB), "cpu": 1.0})[0][0] == f"MemoryMax={int(0.6 * GIB)}"


def test_memory_below_use_waits_and_is_said() -> None:
    todo, said = apply_limits.changes(unit(), {"memory": GIB // 4, "cpu": 2.0})
    assert todo == ["CPUQuota=200%"]
    assert "512 MiB" in said
    assert "256 MiB" in said


def test_limit_taken_away() -> None:
    assert apply_limits.changes(unit(), {"memory": None, "cpu": None})[0] == [
        "MemoryMax=infinity",
        "MemorySwapMax=0",
        "CPUQuota=",
    ]


@pytest.mark.parametrize(("text", "number"), [("500ms", 0.5), ("2s", 2.0), ("1min 4s", 64.0), ("infinity", None)])
def test_processors_as_systemd_says_them(text: str, number: float | None) -> None:
    assert apply_limits.cpu_of(text) == number


def test_servers_shrink_before_their_slice_and_grow_after_it() -> None:
    slice_ = unit(name="datalab-alpha.slice")
    wanted = {"memory": GIB, "cpu": 1.0}
    order = [apply_limits.turn(unit(cpu="4s"), wanted), apply_limits.turn(slice_, wanted)]
    assert [*order, apply_limits.turn(unit(cpu="500ms"), wanted)] == [0, 1, 2]
