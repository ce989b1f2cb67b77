"""Limits of control groups, versions 1 and 2."""

import pytest

from mnas.runtime import control_group, machine, pinning


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Function that writes files of control groups, and the groups of this process."""
    monkeypatch.setattr(control_group, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(control_group, "OWN_GROUPS", tmp_path / "own")

    def write(own: str, **files: str) -> None:
        (tmp_path / "own").write_text(own)
        for name, content in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return write


def test_without_limits_the_machine_decides(groups):
    assert control_group.cpu_quota() is None and control_group.available_memory() is None
    groups("0::/\n", **{"cpu.max": "max 100000\n", "memory.max": "max\n", "memory.current": "5\n"})
    assert control_group.cpu_quota() is None and control_group.available_memory() is None
    assert pinning.usable_cores() == len(pinning.allowed_cores())
    assert machine.available_bytes() > 1 << 20


def test_version_2_counts_the_tightest_group_above_the_process(groups):
    groups(
        "0::/user.slice/job/step\n",
        **{
            "user.slice/cpu.max": "150000 100000",
            "user.slice/job/cpu.max": "400000 100000",
            "user.slice/job/step/cpu.max": "max 100000",
            "user.slice/memory.max": "1000",
            "user.slice/memory.current": "900",
            "user.slice/job/memory.max": "5000",
            "user.slice/job/memory.current": "100",
        },
    )
    assert control_group.cpu_quota() == 1.5
    assert control_group.available_memory() == 100
    assert machine.available_bytes() == 100


def test_version_1_finds_the_group_by_its_controller(groups):
    own = "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/docker/1\n"
    groups(
        own,
        **{
            "cpu/docker/1/cpu.cfs_quota_us": "50000",
            "cpu/docker/1/cpu.cfs_period_us": "100000",
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/cpu.cfs_period_us": "100000",
            "memory/docker/1/memory.limit_in_bytes": "1000",
            "memory/docker/1/memory.usage_in_bytes": "990",
            "memory/docker/1/memory.stat": "cache 700\ntotal_inactive_file 600\n",
        },
    )
    assert control_group.cpu_quota() == 0.5
    assert control_group.available_memory() == 610


@pytest.mark.parametrize("file", ["cpu.max", "cpu/cpu.cfs_quota_us"])
def test_a_container_whose_group_lies_at_the_root_is_found(file, groups):
    content = "100000 100000" if file == "cpu.max" else "100000"
    groups("0::/../../outside\n", **{file: content, "cpu/cpu.cfs_period_us": "100000"})
    assert control_group.cpu_quota() == 1.0


@pytest.mark.parametrize(
    ("quota", "cores"), [(50_000, 1), (100_000, 1), (250_000, 2), (900_000, 4)]
)
def test_a_quota_limits_the_number_of_workers(quota, cores, groups, monkeypatch):
    monkeypatch.setattr(pinning, "allowed_cores", lambda: [0, 1, 2, 5])
    groups("0::/\n", **{"cpu.max": f"{quota} 100000"})
    assert pinning.usable_cores() == cores


def test_unreadable_files_are_no_limit(groups):
    groups("nonsense\n", **{"cpu.max": "one two", "memory.max": "", "memory.current": "x"})
    assert control_group.cpu_quota() is None and control_group.available_memory() is None
