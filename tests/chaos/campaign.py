"""Disturb runs of a kind at random times, resume them to their end, and compare.

lost       records that had been written and are missing or changed at the end
repeated   evaluations begun after their result had been written
unequal    finished runs whose facts are not those of an undisturbed run
wrong      other findings: a wrong exit status, a traceback, a hang, processes left behind
"""

import dataclasses
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos import disturbances
from tests.chaos.evaluators import LOG
from tests.chaos.kinds import Kind

END_SECONDS = 60  # of a driver after a disturbance that ends it
IGNORED_SECONDS = 30  # a run that ends by itself after this has ignored a signal
LEFT_SECONDS = 10  # of other processes after the driver's end
MAX_SURVIVED = 4  # disturbances of one driver that go on; processes are not replaced for ever
RUN_SECONDS = 900  # without a disturbance


@dataclasses.dataclass
class Findings:
    """Results of a campaign; `add` prints what is wrong at once."""

    kills: Counter[str] = dataclasses.field(default_factory=Counter)
    runs: int = 0
    lost: int = 0
    repeated: int = 0
    unequal: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)
    slowest_end: float = 0.0

    @property
    def total(self) -> int:
        """Return the number of disturbances."""
        return self.kills.total()

    def add(self, wrong: str) -> None:
        """Note something wrong."""
        print(f"  wrong: {wrong}", flush=True)
        self.wrong.append(wrong)


class Campaign:
    """Disturbed runs of one kind in a directory."""

    def __init__(self, kind: Kind, directory: Path, seed: int) -> None:
        self.kind, self.directory = kind, directory
        self.random = random.Random(seed)
        self.findings = Findings()
        directory.mkdir(parents=True, exist_ok=True)
        self.reference = directory / "reference"
        self.complete = 0  # number of records of a run that is over

    def run(self, kills: int, seconds: float = float("inf")) -> Findings:
        """Disturb runs until there were so many kills, or the time is over."""
        deadline = time.monotonic() + seconds
        if not self.reference.exists():
            self._finish(self.reference, None)
        facts = self.kind.facts(self.reference)
        self.complete = len(self.kind.records(self.reference))
        while self.findings.total < kills and time.monotonic() < deadline:
            run = self.directory / f"run-{self.findings.runs}"
            recorded: dict[str, Any] = {}
            while self.findings.total < kills and self._disturbed(run, recorded):
                pass
            self._finish(run, recorded)
            self.findings.runs += 1
            self.findings.unequal += self.kind.facts(run) != facts
            self.findings.repeated += self.kind.repeated(run, self._log(run))
            if not self.findings.wrong:
                shutil.rmtree(run)
                self._log(run).unlink(missing_ok=True)
        return self.findings

    # --- one process ---

    def _log(self, run: Path) -> Path:
        return run.with_suffix(".log")

    def _error_file(self, run: Path) -> Path:
        return run.with_suffix(".err")

    def _arguments(self, run: Path) -> list[str]:
        begun = any(run.glob("*.json")) and not run.joinpath("table.json").exists()
        arguments = self.kind.resume if begun else self.kind.start
        return [argument.format(out=run) for argument in arguments]

    def _start(self, run: Path, largest_file: int | None = None) -> subprocess.Popen:
        cache = run / "cache" if self.kind.own_cache else self.directory / "cache"
        if self.kind.own_cache or "table" in str(self.kind.start):
            run.mkdir(exist_ok=True)
        variables = {LOG: str(self._log(run)), "XDG_CACHE_HOME": str(cache)}
        return disturbances.start(
            self._arguments(run), self._error_file(run), variables, largest_file
        )

    def _finish(self, run: Path, recorded: dict[str, Any] | None) -> None:
        """Run to the end without a disturbance."""
        process = self._start(run)
        ended = disturbances.wait_for_end(process, RUN_SECONDS)
        self._check_end(run, process, "none", {0}, ended)
        if recorded is not None:
            self._compare(run, recorded)

    def _disturbed(self, run: Path, recorded: dict[str, Any]) -> bool:
        """Start or resume a run and disturb it; return whether something is left to do."""
        mode = self.random.choice(self.kind.modes)
        before = self._progress(run)
        limit = None
        if mode == "disk":
            limit = self._largest(run) + self.random.randrange(100, 6000)
        process = self._start(run, limit)
        if mode == "disk":
            ended = disturbances.wait_for_end(process, RUN_SECONDS)
            if ended and process.returncode == 0:  # the limit was never reached
                self._check_end(run, process, mode, {0}, ended)
                self._compare(run, recorded)
                return False
        else:
            survived = 0
            while True:
                if not self._wait_for_moment(process, run, before, mode):
                    self._check_end(run, process, "none", {0}, True)
                    self._compare(run, recorded)
                    return False
                if not self._survived(process, run, mode):
                    break
                self._count(mode)
                mode, before = self.random.choice(self.kind.modes), self._progress(run)
                survived += 1
                if mode == "disk" or survived == MAX_SURVIVED:
                    mode = "kill"
            ended = disturbances.wait_for_end(process, END_SECONDS)
        over = ended and len(self.kind.records(run)) >= self.complete
        if over or (ended and process.returncode == 0):  # before the disturbance: not counted
            self._check_end(run, process, mode, {0, *disturbances.STATUS[mode]}, ended)
            self._compare(run, recorded)
            return False
        self._count(mode)
        self._check_end(run, process, mode, disturbances.STATUS[mode], ended)
        self._compare(run, recorded)
        return True

    def _count(self, mode: str) -> None:
        self.findings.kills[mode] += 1
        print(f"  {self.directory.name} {self.findings.total}: {mode}", flush=True)

    def _survived(self, process: subprocess.Popen, run: Path, mode: str) -> bool:
        """Disturb a run; return whether its driver is meant to go on."""
        self._disturbed_at = time.monotonic()
        if mode in disturbances.DRIVER:
            disturbances.DRIVER[mode](process)
            return False
        if mode == "second":
            self._start_second(process, run)
            return True
        if mode in ("worker", "workers"):
            pids = disturbances.workers(process)
            if mode == "worker" and pids:
                pids = [self.random.choice(pids)]
            disturbances.kill(pids)
            return self.kind.replaced
        program = {"raylet": "raylet", "gcs": "gcs_server"}[mode]
        disturbances.kill(disturbances.service(process, program))
        return False

    def _start_second(self, first: subprocess.Popen, run: Path) -> None:
        """Run the same command beside a run, which waits: rejected, in one line."""
        second = run.with_suffix(".second")
        first.send_signal(signal.SIGSTOP)
        try:
            variables = {LOG: str(self._log(run))}
            process = disturbances.start(self._arguments(run), second, variables)
            ended = disturbances.wait_for_end(process, END_SECONDS)
        finally:
            first.send_signal(signal.SIGCONT)
        text = second.read_text()
        if not ended or process.returncode != 2 or "another process" not in text:
            self.findings.add(f"second process: {process.poll()} {text[-300:]!r}")

    # --- when, and what then ---

    def _largest(self, run: Path) -> int:
        files = [path for path in run.rglob("*") if path.is_file() and "cache" not in path.parts]
        return max((path.stat().st_size for path in files), default=0)

    def _progress(self, run: Path) -> int:
        """Return the number of facts on disk, roughly: lines of journals, or records."""
        journals = list(run.rglob("journal.jsonl"))
        if journals:
            return sum(path.read_bytes().count(b"\n") for path in journals)
        return len(self.kind.records(run)) if run.exists() else 0

    def _wait_for_moment(
        self, process: subprocess.Popen, run: Path, before: int, mode: str
    ) -> bool:
        """Wait for a random moment; return whether the run is not over by then."""
        start = time.monotonic()
        # SIGKILL at any time; other signals once the command has begun to work.
        if mode == "kill" and self.random.random() < 0.2:
            disturbances.wait_for_end(process, self.random.uniform(0, 6))
            return process.poll() is None
        more = self.random.randrange(1, 4 if "train" in str(self.kind.start) else 16)
        while process.poll() is None and self._progress(run) < before + more:
            if time.monotonic() - start > RUN_SECONDS:
                self.findings.add(f"no progress in {RUN_SECONDS} s before {mode}")
                break
            time.sleep(0.02)
        disturbances.wait_for_end(process, self.random.uniform(0, 0.2))
        return process.poll() is None

    def _check_end(
        self, run: Path, process: subprocess.Popen, mode: str, statuses: set[int], ended: bool
    ) -> None:
        if not ended:
            self.findings.add(f"{mode}: driver did not end")
            process.kill()
            process.wait()
        elif mode not in ("none", "disk"):
            seconds = time.monotonic() - self._disturbed_at
            self.findings.slowest_end = max(self.findings.slowest_end, seconds)
            if process.returncode == 0 and seconds > IGNORED_SECONDS:
                self.findings.add(f"{mode}: ignored for {seconds:.0f} s")
        text = self._error_file(run).read_text(errors="replace")
        if ended and process.returncode not in statuses:
            self.findings.add(f"{mode}: status {process.returncode}: {text[-300:]!r}")
        if ended and process.returncode in (1, 130, 143) and "continue" not in text:
            self.findings.add(f"{mode}: not said how to continue: {text[-300:]!r}")
        if "Traceback" in text or "*** SIG" in text or "Segmentation" in text:
            self.findings.add(f"{mode}: {text[-1500:]!r}")
        if left := disturbances.left_behind(process, LEFT_SECONDS):
            self.findings.add(f"{mode}: left behind {left}")

    def _compare(self, run: Path, recorded: dict[str, Any]) -> None:
        """Count records that are gone or have changed; note the new ones."""
        now = self.kind.records(run) if run.exists() else {}
        for name, record in recorded.items():
            if now.get(name) != record:
                self.findings.lost += 1
        recorded.update(now)
