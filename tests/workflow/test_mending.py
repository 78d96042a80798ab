"""The way upstream to what is put right."""

from sparse_coding.workflow.mending import Mend, Ways


def ways(whole: bool, *artifacts: tuple[str, list[str], bool, Mend]) -> dict[str, list[str]]:
    found = Ways(whole)
    for artifact in artifacts:
        found.add(*artifact)
    return {path: found.of(path) for path, *_ in artifacts}


def test_a_way_leads_over_what_is_fresh_to_what_is_mended():
    found = ways(
        False,
        ("tokens", [], False, Mend.ALWAYS),
        ("vectors", ["tokens"], True, Mend.NEVER),
        ("dictionary", ["vectors"], True, Mend.NEVER),
        ("baseline", [], True, Mend.NEVER),
        ("row", ["dictionary", "baseline"], True, Mend.NEVER),
    )
    assert found == {
        "tokens": [], "vectors": ["tokens"], "dictionary": ["vectors"], "baseline": [], "row": ["dictionary"],
    }  # fmt: skip


def test_it_passes_by_what_is_left_away():
    """Vectors that are not there would be made to be passed."""
    found = ways(
        False,
        ("tokens", [], False, Mend.ALWAYS),
        ("vectors", ["tokens"], False, Mend.NEVER),
        ("dictionary", ["vectors", "tokens"], True, Mend.NEVER),
    )
    assert found["dictionary"] == ["tokens"]


def test_what_is_lost_is_mended_for_the_whole_alone():
    lost = [("dictionary", [], False, Mend.WHOLE), ("row", ["dictionary"], True, Mend.NEVER)]
    assert ways(True, *lost)["row"] == ["dictionary"]
    assert ways(False, *lost)["row"] == []
