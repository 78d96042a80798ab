from pathlib import Path

import pytest
from PIL import Image

from sparse_coding.cli.main import main
from sparse_coding.errors import BadInput
from sparse_coding.io import tables as files
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.settings import slices
from sparse_coding.settings.params import Params, Plots
from sparse_coding.stages import plots
from tests.figures import odd, tables

SITE = "layer2_residual"
SETTINGS = slices.plots(Params(plots=Plots(dpi=50)), SITE).model_copy(update={"bootstrap": 300})


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    return {
        "evaluation": tables.write(tmp_path / "evaluation.parquet", tables.evaluation(), EVALUATION),
        "frequency": tables.write(tmp_path / "frequency.parquet", tables.frequency(), FREQUENCY),
        "autointerp": tables.write(tmp_path / "autointerp.parquet", tables.autointerp(), AUTOINTERP),
        "control": tables.write(tmp_path / "control.parquet", tables.control(), AUTOINTERP),
        "output": tmp_path / "plots",
    }


def picture_of(inputs: dict[str, Path]) -> Path:
    return inputs["output"] / f"{SITE}.png"


def caption_of(inputs: dict[str, Path]) -> str:
    return (inputs["output"] / f"{SITE}.txt").read_text(encoding="utf-8")


def test_command_line_makes_the_same_figure_twice(inputs: dict[str, Path]) -> None:
    words = [word for name, path in inputs.items() for word in (f"--{name}", str(path))]
    assert main(["plots", "--settings", SETTINGS.model_dump_json(), *words]) == 0
    first, caption = picture_of(inputs).read_bytes(), caption_of(inputs)
    plots.run(SETTINGS, **inputs)
    assert picture_of(inputs).read_bytes() == first
    assert caption_of(inputs) == caption
    assert "random weights" in caption
    with Image.open(picture_of(inputs)) as picture:
        assert picture.width == round(SETTINGS.plots.width * SETTINGS.plots.dpi)
        assert set(picture.info) <= {"dpi"}  # no date, no program name
    assert sorted(path.name for path in inputs["output"].iterdir()) == [f"{SITE}.png", f"{SITE}.txt"]

    plots.run(SETTINGS.model_copy(update={"bootstrap": 20}), **inputs)
    assert caption_of(inputs) != caption  # other intervals: resamples are a setting


def test_without_control_the_figure_says_so(inputs: dict[str, Path]) -> None:
    del inputs["control"]
    plots.run(SETTINGS, **inputs)
    assert picture_of(inputs).exists()
    assert "Missing here: the control random-weights model." in caption_of(inputs)


def test_what_is_broken_greyed_or_not_scored_is_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = odd.broken()
    schemas = {"evaluation": EVALUATION, "frequency": FREQUENCY, "autointerp": AUTOINTERP}
    inputs = {name: tables.write(tmp_path / f"{name}.parquet", found[name], schema) for name, schema in schemas.items()}
    plots.run(SETTINGS, **inputs, output=tmp_path)
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")] == [
        f"warning: {SITE}: {words}"
        for words in (
            "tied_r6_l1-0.002_s0 (plain) is broken: 514 of 768 features dead",
            "tied_r6_l1-0.003_s0 (plain) is broken: FVU 2.1; L0 0.03",
            "tied r6, L1 0.002 is greyed: broken, 67 % dead, 72 % unscored",
            "shuffled null, tied r6, L1 0.002 is greyed: broken, 67 % dead, 68 % unscored",
            "No scored tied dictionary has an L0 of 4 to 32 (nearest: tied_r6_l1-0.002_s0, L0 1.2).",
            "To score one: `autointerp.members: {l1: 0.0005, k: 8}` in params.yaml.",
        )
    ]


def test_the_default_has_nothing_to_warn_of(inputs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    plots.run(SETTINGS, **inputs)
    assert "warning" not in capsys.readouterr().err


def test_the_caption_says_where_the_environments_of_the_numbers_differ(inputs: dict[str, Path]) -> None:
    first = {"python": "3.11.9", "torch": "2.7.1", "cpu": "Xeon"}
    plots.run(SETTINGS, **inputs, environments=[first])
    alone = caption_of(inputs)
    assert "Mixed" not in alone
    plots.run(SETTINGS, **inputs, environments=[first, first | {"cpu": "EPYC"}])
    assert caption_of(inputs).startswith(alone)
    assert caption_of(inputs).endswith("Mixed: the numbers were made with more than one cpu (Xeon, EPYC).\n")


@pytest.mark.parametrize(
    ("column", "value", "first"),
    [
        ("scorer", "simulation", "scorer simulation and token-rules"),
        ("judge", "gpt-9", "judge gpt-9 and token-rules"),
        ("mode", "original", "mode nonzero and original"),
        ("prompts", "0123+4567", r"prompts 0123\+4567 and none"),
    ],
)
def test_two_scorers_never_share_an_axis(inputs: dict[str, Path], column: str, value: str, first: str) -> None:
    tables.write(inputs["control"], tables.control().assign(**{column: value}), AUTOINTERP)
    with pytest.raises(BadInput, match=rf"autointerp.parquet, .*control.parquet: found {first}; wanted one scorer"):
        plots.run(SETTINGS, **inputs)
    assert not inputs["output"].exists()


def test_two_sources_never_share_an_axis(inputs: dict[str, Path]) -> None:
    site = tables.failing(tables.simulated(tables.autointerp()), 3, "no probabilities in the answers", "logprob_ev")
    tables.write(inputs["autointerp"], site, AUTOINTERP)
    tables.write(inputs["control"], tables.simulated(tables.control(), ["sampled"]), AUTOINTERP)
    plots.run(SETTINGS, **inputs)
    assert "the digits that the model wrote, because not all tables have expected values" in caption_of(inputs)

    tables.write(inputs["control"], tables.simulated(tables.control(), ["logprob_ev"]), AUTOINTERP)
    with pytest.raises(BadInput, match=r"control.parquet: found source .*sampled in .* and source logprob_ev"):
        plots.run(SETTINGS, **inputs)


@pytest.mark.parametrize("scorer", ["detection", "fuzzing"])
def test_accuracies_are_drawn(inputs: dict[str, Path], scorer: str) -> None:
    tables.write(inputs["autointerp"], tables.classified(tables.autointerp(), scorer), AUTOINTERP)
    tables.write(inputs["control"], tables.classified(tables.control(), scorer), AUTOINTERP)
    plots.run(SETTINGS, **inputs)
    assert picture_of(inputs).exists()
    assert f"(c) Scorer: {scorer}." in caption_of(inputs)
    assert "Missing" not in caption_of(inputs)


@pytest.mark.parametrize("table", ["evaluation", "autointerp", "frequency", "control"])
def test_empty_table_is_refused(inputs: dict[str, Path], table: str) -> None:
    schema = {"evaluation": EVALUATION, "frequency": FREQUENCY}.get(table, AUTOINTERP)
    files.write(inputs[table], [], schema)
    with pytest.raises(BadInput, match=f"{table}.parquet: found a table without rows"):
        plots.run(SETTINGS, **inputs)


def test_table_of_another_site_is_refused(inputs: dict[str, Path]) -> None:
    tables.write(inputs["evaluation"], tables.evaluation("layer4_residual"), EVALUATION)
    with pytest.raises(BadInput, match="found layer4_residual; wanted layer2_residual"):
        plots.run(SETTINGS, **inputs)
