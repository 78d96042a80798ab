"""What is free: under the limits of a container and of the shell."""

import resource

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


def test_room_where_a_folder_will_be(tmp_path):
    assert machine.disk(tmp_path / "not" / "yet") > 0
    assert machine.is_same_disk(tmp_path / "not", tmp_path)
