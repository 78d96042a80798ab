"""What a person sees while Snakemake runs: one live line with an estimate of the end, and a line a finished step.

Chosen by `logger: progress` in profiles/default/config.yaml. Snakemake's own output is kept whole for dry runs and
for --verbose, --printshellcmds and --debug-dag, and always in .snakemake/log.
"""

import sys
import threading
import time
from logging import WARNING, LogRecord
from pathlib import Path

from snakemake.logging import ColorizingTextHandler
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_progress import display, estimate
from snakemake_logger_plugin_progress.run import Run, Step

LOGS = Path("results/logs")
SILENT = {LogEvent.WORKFLOW_STARTED, LogEvent.JOB_STARTED, LogEvent.SHELLCMD, LogEvent.PROGRESS}
# Said by Snakemake in every run, or said better here.
NOISE = (
    "Assuming unrestricted shared filesystem usage",
    "host: ",
    "Building DAG of jobs",
    "Using shell: ",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Select jobs to execute",
    "Shutting down, this might take some time",
    "Elapsed time: ",
)
FAILED = "Exiting because a job execution failed"
FAILED_AGAIN = "At least one job did not complete successfully"


class LogHandler(LogHandlerBase):
    """Snakemake's events, as text for people. Records come from one thread, the live line is drawn by another."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = True

    def __post_init__(self) -> None:
        """Choose the kind of display."""
        settings = self.common_settings
        stream = sys.stdout if settings.stdout else sys.stderr
        as_ever = settings.dryrun or settings.verbose or settings.printshellcmds or settings.debug_dag
        self.snakemakes_own = ColorizingTextHandler(nocolor=settings.nocolor, stream=stream) if as_ever else None
        self.display = display.Terminal(stream) if stream.isatty() else display.Plain(stream)
        self.cores = 1
        self.needs: dict[str, set[str]] = {}
        self.run = Run({}, None, self.needs, self.cores)
        self.stopped = False
        self.over = threading.Event()

    def emit(self, record: LogRecord) -> None:
        """Show one record. A fault in here is printed with its traceback and never stops the run."""
        try:
            if self.snakemakes_own is not None:
                self.snakemakes_own.setFormatter(self.formatter)
                self.snakemakes_own.emit(record)
                return
            event = getattr(record, "event", None)
            handle = getattr(self, f"on_{event}", None)
            if handle is not None:
                handle(record)
            elif event not in SILENT:
                self.on_message(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Take the live line away."""
        with self.lock:  # type: ignore[union-attr]
            self._end()
        super().close()

    def on_resources_info(self, record: LogRecord) -> None:
        """Learn how many cores there are."""
        self.cores = getattr(record, "cores", None) or self.cores

    def on_rulegraph(self, record: LogRecord) -> None:
        """Learn which rule waits for which."""
        for link in record.rulegraph["links"]:  # type: ignore[attr-defined]
            self.needs.setdefault(link["targetrule"], set()).add(link["sourcerule"])

    def on_run_info(self, record: LogRecord) -> None:
        """Say what is to be done, and begin to draw."""
        stats = record.stats  # type: ignore[attr-defined]
        counts = {rule: count for rule, count in stats.items() if rule not in ("total", *estimate.TARGETS)}
        guess = False
        try:
            measured = estimate.benchmarks(LOGS)
            expected = estimate.expected_seconds(counts, measured)
            guess = estimate.is_guess(expected, measured)
        except (OSError, ValueError, KeyError) as error:
            expected = None
            self.display.line(f"no estimate of the end: {LOGS}: {error}")
        self.run = Run(counts, expected, self.needs, self.cores)
        left = self.run.seconds_left()
        about = "" if left is None else f", about {display.duration(left)}: until {display.clock(left)}"
        if left is not None and guess:
            least, most = display.duration(left / estimate.OFF), display.duration(left * estimate.OFF)
            about += f" ({least} to {most}: most of it was not timed here yet)"
        self.display.line(f"Steps to do: {self.run.total}, on {self.cores} core{'s' if self.cores > 1 else ''}{about}")
        threading.Thread(target=self._draw_until_over, name="progress", daemon=True).start()

    def on_job_info(self, record: LogRecord) -> None:
        """A step begins."""
        job = record.__dict__
        if job["rule_name"] not in estimate.TARGETS:
            name = "_".join([job["rule_name"], *map(str, (job["wildcards"] or {}).values())])
            self.run.begin(job["jobid"], Step(name, job["rule_name"], Path(job["log"][0]) if job["log"] else None))

    def on_job_finished(self, record: LogRecord) -> None:
        """A step is done."""
        step = self.run.finish(record.job_id)  # type: ignore[attr-defined]
        if step is None:
            return
        done, total = self.run.done, self.run.total
        self.display.line(f"[{done:{len(str(total))}}/{total}] {step.name}  {display.duration(step.elapsed)}")
        if done == total:
            self._end()
            self.display.line(f"{done} of {total} steps done in {display.duration(time.monotonic() - self.run.began)}")

    def on_job_error(self, record: LogRecord) -> None:
        """A step failed: say why, from its log, and where to read more."""
        job = record.__dict__
        step = self.run.fail(job["jobid"])
        self.stopped = True
        lines = [f"FAILED {step.name} after {display.duration(step.elapsed)}" if step else f"FAILED {job['rule_name']}"]
        for log in job["log"]:
            lines += [f"    {line}" for line in display.what_went_wrong(estimate.log_tail(Path(log)))]
            lines.append(f"    log: {log}")
        if job["rule_msg"]:
            lines.append(f"    {job['rule_msg']}")
        if not job["log"]:
            lines.append(f"    command: {job['shellcmd']}")
        self.display.line("\n".join(lines))

    def on_message(self, record: LogRecord) -> None:
        """Anything else is printed, save what every run says and what on_job_error says better."""
        text = self.format(record)
        if text.startswith(FAILED):
            self._end()
            self.stopped = True
            text = (
                f"{self.run.done} of {self.run.total} steps are done and kept. Put right what the error names, then "
                "run the same command again: it goes on from there."
            )
        told = text in ("", "None") or (record.levelno < WARNING and text.startswith(NOISE))
        told = told or (self.stopped and FAILED_AGAIN in text)
        told = told or (len(self.run.running) > 0 and "CalledProcessError in file" in text)
        if not told and (self.stopped or not text.startswith("Complete log(s): ")):
            self.display.line(text)

    def _end(self) -> None:
        self.over.set()
        self.display.close()

    def _draw_until_over(self) -> None:
        while not self.over.wait(self.display.interval):
            with self.lock:  # type: ignore[union-attr]
                if not self.over.is_set():
                    self.display.show(*self.run.status())
