import os
import pty
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from snakemake_logger_plugin_progress import display, estimate
from snakemake_logger_plugin_progress.run import Run, Step
from tests.workspace import snakemake

SECONDS = st.floats(0, 1e5)
SHARE = st.floats(0, 1)
RULES = [
    "dataset_tokens",
    "activations_model_0",
    "dictionaries_layer2_residual_tied_r4",
    "evaluation_layer2_residual",
    "other",
]
STEPS = st.lists(st.tuples(st.sampled_from(RULES), SECONDS), max_size=8)
CHAIN = {later: {earlier} for earlier, later in pairwise(RULES)}

TOY = """
rule all:
    input: "b.txt", "c.txt"

rule first:
    output: "a.txt"
    log: "results/logs/first.log"
    shell: "cat first.said > {log}; sleep 1.6; touch {output}"

rule second:
    input: "a.txt"
    output: "b.txt"
    log: "results/logs/second.log"
    shell: "cat second.said > {log}; VERDICT"

rule third:
    input: "a.txt"
    output: "c.txt"
    shell: "touch {output}"
"""


SAID = {
    "first": "\rfirst:  10%|#  | 1/10 [00:00<00:01]\rfirst:  40%|#  | 4/10 [00:00<00:01]",
    "second": "\rsecond:  10%|#  | 1/10 [00:00<00:01]\nerror: second: a.txt: found SECRET; wanted b\n",
}


def toy(folder: Path, verdict: str = "touch {output}") -> Path:
    """Three steps, two of which have a log that some stage could have written."""
    for name, text in SAID.items():
        (folder / f"{name}.said").write_text(text)
    (folder / "Snakefile").write_text(TOY.replace("VERDICT", verdict))
    return folder


class TestEstimate:
    @given(SECONDS, SECONDS, st.none() | SHARE)
    def test_a_step_never_ends_in_the_past(self, expected, elapsed, done):
        assert estimate.seconds_left(expected, elapsed, done) >= 0

    @given(SECONDS, SECONDS, SHARE, SHARE)
    def test_a_step_gets_nearer_its_end_as_its_bar_moves(self, expected, elapsed, one, other):
        less, more = sorted((one, other))
        assert estimate.seconds_left(expected, elapsed, more) <= estimate.seconds_left(expected, elapsed, less)
        assert estimate.seconds_left(expected, elapsed, 1.0) == 0

    @given(st.floats(1, 1e4), st.floats(0, 0.9))
    def test_a_step_that_keeps_its_time_is_estimated_exactly(self, expected, done):
        left = (1 - done) * expected
        assert estimate.seconds_left(expected, done * expected, done) == pytest.approx(left)
        assert estimate.seconds_left(expected, done * expected, None) == pytest.approx(left)

    @given(STEPS, st.integers(1, 64), st.data())
    def test_finished_work_shortens_a_run(self, steps, cores, data):
        before = estimate.run_seconds_left(steps, CHAIN, cores)
        rest = [(rule, seconds * data.draw(SHARE)) for rule, seconds in steps]
        assert 0 <= estimate.run_seconds_left(rest, CHAIN, cores) <= before * (1 + 1e-12)
        assert estimate.run_seconds_left([(rule, 0.0) for rule, _ in steps], CHAIN, cores) == 0

    @given(STEPS)
    def test_more_cores_never_take_longer_and_a_chain_waits(self, steps):
        times = [estimate.run_seconds_left(steps, CHAIN, cores) for cores in (1, 2, 8, 64)]
        assert all(more <= fewer * (1 + 1e-9) for fewer, more in pairwise(times))
        in_a_row = [(rule, 10.0) for rule in RULES]
        assert estimate.run_seconds_left(in_a_row, CHAIN, 1000) == 50
        assert estimate.run_seconds_left(in_a_row, {}, 1000) == 10

    def test_measured_times_come_first_and_scale_the_others(self, tmp_path):
        (tmp_path / "dataset_tokens.benchmark.tsv").write_text("s\th:m:s\n60.0\t0:01:00\n")
        (tmp_path / "dictionaries_x_tied_r0.5.benchmark.tsv").write_text("s\th:m:s\n")
        measured = estimate.benchmarks(tmp_path)
        assert measured == {"dataset_tokens": 60.0}
        expected = estimate.expected_seconds(["dataset_tokens", "baselines_x"], measured)
        assert expected == {"dataset_tokens": 60.0, "baselines_x": 3 * estimate.STAGES["baselines"].seconds}

    def test_what_the_table_says_of_other_settings_is_a_guess(self):
        expected = {"baselines_x": 20.0, "evaluation_x": 45.0}
        assert estimate.is_guess(expected, {})
        assert estimate.is_guess(expected, {"baselines_x": 20.0})
        assert not estimate.is_guess(expected, {"evaluation_x": 45.0})
        assert not estimate.is_guess({"first": 10.0}, {})  # a rule that the table does not know

    def test_pace_follows_what_was_observed(self):
        assert estimate.pace([]) == 1
        assert estimate.pace([(200.0, 100.0)] * 50) == pytest.approx(2, rel=0.01)

    def test_stages_by_the_longest_name(self):
        assert estimate.stage_of("activations_random_0") is estimate.STAGES["activations_random"]
        assert estimate.stage_of("evaluation_tables_layer2_residual") is estimate.STAGES["evaluation_tables"]
        assert estimate.stage_of("dictionaries_random_layer2_residual_tied_r4").threads == 1
        assert estimate.stage_of("first") is estimate.UNKNOWN
        seconds = [estimate.unmeasured_seconds(f"dictionaries_x_tied_r{ratio}") for ratio in ("0p5", "1", "2", "4")]
        assert seconds == sorted(set(seconds))
        assert seconds[-1] == estimate.STAGES["dictionaries"].seconds


class TestLogs:
    @given(st.integers(1, 300), st.integers(0, 300))
    def test_what_tqdm_writes_is_read_back(self, total, done):
        path = Path(os.devnull)
        done = min(done, total)
        with path.open("w") as nowhere:
            bar = tqdm(total=total, file=nowhere)
            texts = []
            for n in range(done + 1):
                bar.n = n
                texts.append(f"\r{bar}")
        assert estimate.fraction_done("".join(texts)) == pytest.approx(done / total, abs=0.0051)

    def test_bars_one_after_another(self):
        log = "\ra:   0%|  |\ra: 100%|##|\n\rb:   0%|  |\rb:  50%|# |"
        assert estimate.fraction_done(log, bars=2) == 0.75
        assert estimate.fraction_done(log[: log.index("\n")], bars=2) == 0.5
        assert estimate.fraction_done("no bar at all 50% off", bars=2) is None

    def test_only_the_tail_is_read(self, tmp_path):
        assert estimate.log_tail(tmp_path / "none.log") == ""
        (tmp_path / "long.log").write_text("é" * estimate.TAIL_BYTES + "x 30%|")
        assert len(estimate.log_tail(tmp_path / "long.log")) < estimate.TAIL_BYTES
        assert estimate.fraction_done(estimate.log_tail(tmp_path / "long.log")) == 0.3

    def test_what_went_wrong(self):
        bar = "\rx:   0%|   | 0/9 [00:00<?, ?step/s]\rx:  10%|#  | 1/9 [00:00<00:01, 3step/s]"
        assert display.what_went_wrong(f"{bar}\nsome warning\nerror: no\n") == ["error: no"]
        assert display.what_went_wrong(f"{bar}Traceback (most recent call last):\n  here\nKeyError: 1\n") == [
            "Traceback (most recent call last):",
            "  here",
            "KeyError: 1",
        ]
        assert display.what_went_wrong("Traceback\n  here\nKeyboardInterrupt\n")[0].startswith("stopped (Ctrl-C)")
        assert display.what_went_wrong("") == []

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (140, "2 min 20 s"), (3900, "1 h 5 min")]
    )
    def test_duration(self, seconds, text):
        assert display.duration(seconds) == text


def test_the_state_of_a_run():
    run = Run({"slow": 2, "fast": 1}, {"slow": 30.0, "fast": 10.0}, {"slow": {"fast"}}, cores=1)
    assert run.seconds_left() == 70
    run.begin(1, Step("fast", "fast", None))
    shares = [run.status()[0]]
    assert run.status()[1].startswith("0/3 steps, about 1 min 10 s left, until ")
    assert run.finish(1) is not None
    assert run.finish(99) is None
    shares.append(run.status()[0])
    run.begin(2, Step("slow_a", "slow", None, started=time.monotonic() - 300))
    assert run.status()[1].endswith(": slow_a")
    shares.append(run.status()[0])
    run.fail(2)
    shares.append(run.status()[0])
    assert shares == sorted(shares)
    assert (run.total, run.done, run.running) == (3, 1, {})


class TestRuns:
    def test_a_run_that_succeeds(self, tmp_path):
        done = snakemake(toy(tmp_path), "--logger", "progress")
        assert done.returncode == 0
        assert "\r" not in done.stdout
        lines = done.stdout.splitlines()
        assert re.fullmatch(r"Steps to do: 3, on 2 cores, about \d+ s: until \d\d:\d\d", lines[0])
        assert re.fullmatch(r"\[1/3\] first  [123] s", lines[1])
        assert {line.split()[1] for line in lines[2:4]} == {"second", "third"}
        assert lines[4].startswith("3 of 3 steps done in ")
        assert len(lines) == 5

        again = snakemake(tmp_path, "--logger", "progress")
        assert again.stdout.strip() == "Nothing to be done (all requested files are present and up to date)."

    def test_a_rule_that_only_names_files_is_no_step(self, tmp_path):
        snakefile = toy(tmp_path) / "Snakefile"
        snakefile.write_text(f'{snakefile.read_text()}\nrule plots:\n    input: "b.txt"\n')
        done = snakemake(tmp_path, "--logger", "progress", "--", "plots")
        assert done.returncode == 0
        assert done.stdout.startswith("Steps to do: 2, ")
        assert "2 of 2 steps done in " in done.stdout

    def test_what_was_never_timed_here_is_said_as_a_range(self, tmp_path):
        snakefile = toy(tmp_path) / "Snakefile"
        snakefile.write_text(snakefile.read_text().replace("rule first:", "rule evaluation_first:"))
        said = snakemake(tmp_path, "--logger", "progress").stdout
        found = re.search(
            r"about (\d+) s: until \d\d:\d\d \((\d+) s to (\d) min (\d+) s: most of it was not timed", said
        )
        assert found, said
        about, least, minutes, seconds = map(int, found.groups())
        assert least < about < 60 * minutes + seconds

    def test_a_step_that_fails(self, tmp_path):
        (tmp_path / "results/logs").mkdir(parents=True)
        (tmp_path / "results/logs/first.benchmark.tsv").write_text("s\nnonsense\n")
        done = snakemake(toy(tmp_path, verdict="exit 3"), "--logger", "progress", "--keep-going")
        assert done.returncode != 0
        assert "no estimate of the end: results/logs: could not convert string to float: 'nonsense'" in done.stdout
        failure = done.stdout[done.stdout.index("FAILED second") :].splitlines()
        assert failure[1].strip() == "error: second: a.txt: found SECRET; wanted b"
        assert failure[2].strip() == "log: results/logs/second.log"
        assert "2 of 3 steps are done and kept." in done.stdout
        assert "cat second.said" not in done.stdout
        assert done.stdout.count("SECRET") == 1

    def test_a_step_without_a_log_that_fails_shows_its_command(self, tmp_path):
        toy(tmp_path)
        text = (
            (tmp_path / "Snakefile").read_text().replace('shell: "touch {output}"', 'shell: "touch /no/where {output}"')
        )
        (tmp_path / "Snakefile").write_text(text)
        done = snakemake(tmp_path, "--logger", "progress")
        assert done.returncode != 0
        assert "command: touch /no/where c.txt" in done.stdout
        assert "Complete log(s): " in done.stdout

    def test_a_dry_run_and_verbose_are_snakemakes_own(self, tmp_path):
        toy(tmp_path)
        dry = snakemake(tmp_path, "--logger", "progress", "-n")
        assert dry.returncode == 0
        assert re.search(r"^job +count\n.*^second +1\n.*^total +4$", dry.stdout, re.MULTILINE | re.DOTALL)
        assert "rule third:" in dry.stdout
        assert not (tmp_path / "a.txt").exists()
        commands = snakemake(tmp_path, "--logger", "progress", "--printshellcmds", "c.txt")
        assert "touch c.txt" in commands.stdout

    def test_a_fault_in_the_snakefile_is_told(self, tmp_path):
        (tmp_path / "Snakefile").write_text('raise WorkflowError("params.yaml: grid: found x; wanted y")\n')
        done = snakemake(tmp_path, "--logger", "progress")
        assert done.returncode != 0
        assert done.stdout.count("params.yaml: grid: found x; wanted y") == 1

    def test_a_terminal_gets_a_live_line(self, tmp_path):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "progress"]
        process = subprocess.Popen(command, cwd=toy(tmp_path), stdout=theirs, stderr=theirs)
        os.close(theirs)
        text = ""
        while chunk := _read(ours):
            text += chunk
        os.close(ours)
        assert process.wait() == 0
        assert re.search(r"\r +\d+%\|.{20}\| 0/3 steps, about \d+ s left, until \d\d:\d\d: first 40%", text)
        assert max(len(line) for line in re.split(r"[\r\n]", text)) <= 80
        assert "3 of 3 steps done in" in text.splitlines()[-1]


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:  # Linux says so when the other end is closed
        return ""


def test_what_is_spent_stands_beside_the_step(tmp_path):
    log = tmp_path / "step.log"
    log.write_text("autointerp:  10%|█| 1/10 [00:01<00:09, 1 requests, 20 tokens, 0.0100 USD]\r"
                   "autointerp:  50%|█| 5/10 [00:05<00:05, 1,234 requests, 20,000 tokens, 1.5000 USD]")  # fmt: skip
    run = Run({"autointerp": 1}, None, {}, 1)
    run.begin(1, Step("autointerp_here", "autointerp", log))
    assert run.status()[1] == "0/1 steps: autointerp_here 50% (1,234 requests, 20,000 tokens, 1.5000 USD)"
