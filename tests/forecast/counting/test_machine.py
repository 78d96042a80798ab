"""What is free: under the limits of a container and of the shell."""

import resource

import pytest

from sparse_coding.forecast.counting import machine


def test_a_container_that_allows_less_than_the_machine_has(tmp_path, monkeypatch):
    group = tmp_path / "box"
    group.mkdir()
    (group / "memory.max").write_text("1000000\n")
    (group / "memory.current").write_text("700000\n")
    (group / "memory.stat").write_text("anon 100\ninactive_file 200000\nactive_file 100000\n")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "_lines", lambda: ["0::/box/inner"])
    assert machine.memory() == 600_000
    (group / "memory.max").write_text("max\n")
    assert machine.memory() > 1 << 20


def test_the_limit_of_the_shell_is_for_one_process(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (machine.VIRTUAL + 5, 0))
    assert machine.of_one_process() == 5
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, 0))
    assert machine.of_one_process() == machine.UNLIMITED


@pytest.mark.parametrize(
    ("seen", "found"), [(None, 3), ("", 0), ("-1", 0), ("1", 1), ("0,2", 2), ("0,-1,2", 1), ("0,1,2,3,4", 3)]
)
def test_gpus_are_those_of_the_driver_that_a_step_may_see(seen, found, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "GPUS", tmp_path / "gpus")
    if seen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert machine.gpus() == 0
    for name in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert machine.gpus() == found


def test_room_where_a_folder_will_be(tmp_path):
    assert machine.disk(tmp_path / "not" / "yet") > 0
    assert machine.is_same_disk(tmp_path / "not", tmp_path)
