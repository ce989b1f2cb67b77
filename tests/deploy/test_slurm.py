"""The script for Slurm, with stand-ins for Slurm's commands on the path.

`mnas` is a stand-in, too, where only the script is tested; the slow test runs the real one.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnas.experiment.results import load_run

SCRIPT = Path(__file__).parents[2] / "deploy" / "mnas.sbatch"
WAIT_SECONDS = 300.0

SCONTROL = """
echo "scontrol $*" >> calls
# More than a pipe holds: a reader that stops after the first line would end this by SIGPIPE.
[ "$1" = show ] && printf 'node%d\\n' {1..20000} || true
"""
# A search that ends at once (FINISHES), fails (FAILS), or runs until SIGTERM.
MNAS = """
echo "mnas $*" >> calls
case "$1" in search) mkdir -p "$4"; touch "$4/experiment.json" ;; esac
[ -z "$FAILS" ] || exit "$FAILS"
[ -z "$FINISHES" ] || exit 0
trap 'echo "mnas ends" >> calls; exit 143' TERM
touch running
while :; do sleep 0.05; done
"""
SRUN = """
echo "srun $*" >> calls
case "$*" in *hostname*) echo '10.0.0.1 fe80::1' ;; *) exec sleep 60 ;; esac
"""
RAY = 'echo "ray $*" >> calls\n'


@pytest.fixture
def cluster(tmp_path):
    """Return a directory with stand-ins of the programs in `bin`."""
    (tmp_path / "bin").mkdir()
    for name, body in {"scontrol": SCONTROL, "mnas": MNAS, "srun": SRUN, "ray": RAY}.items():
        write_program(tmp_path, name, body)
    return tmp_path


def write_program(place, name, body):
    path = place / "bin" / name
    path.write_text(f"#!/usr/bin/env bash\n{body}")
    path.chmod(0o755)


@pytest.fixture
def start(cluster):
    """Return a function that starts the script as sbatch would; what is left of it is killed."""
    jobs = []

    def run(*arguments, **variables):
        environment = {
            **{"FAILS": "", "FINISHES": "", "SLURM_JOB_ID": "42", "SLURM_JOB_NUM_NODES": "1"},
            **os.environ,
            "PATH": f"{cluster / 'bin'}:{os.environ['PATH']}",
            **variables,
        }
        command = ["/bin/bash", SCRIPT, *arguments]
        job = subprocess.Popen(command, cwd=cluster, env=environment, start_new_session=True)
        jobs.append(job)
        return job

    yield run
    for job in jobs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def calls(place):
    path = place / "calls"
    return path.read_text().splitlines() if path.exists() else []


def wait_until(condition, process):
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert process.poll() is None, f"ended with status {process.returncode}"
        assert time.monotonic() < end
        time.sleep(0.05)


def test_sigterm_ends_the_search_and_requeues_the_job(cluster, start):
    job = start("digits", "run", "--seed", "1")
    wait_until((cluster / "running").exists, job)
    job.send_signal(signal.SIGTERM)
    assert job.wait(WAIT_SECONDS) == 143
    expected = ["mnas search digits --out run --seed 1", "mnas ends", "scontrol requeue 42"]
    assert calls(cluster) == expected


def test_the_next_start_resumes(cluster, start):
    (cluster / "run").mkdir()
    (cluster / "run" / "experiment.json").touch()
    assert start("digits", "run", FINISHES="yes").wait(WAIT_SECONDS) == 0
    assert calls(cluster) == ["mnas resume run"]


@pytest.mark.parametrize("status", ["1", "2"])
def test_a_search_that_fails_is_not_requeued(cluster, start, status):
    assert start("digits", "run", FAILS=status).wait(WAIT_SECONDS) == int(status)
    assert not [call for call in calls(cluster) if "requeue" in call]


def test_several_nodes_are_one_ray_cluster(cluster, start):
    variables = {"SLURM_JOB_NUM_NODES": "3", "SLURM_JOB_NODELIST": "node[1-3]"}
    job = start("digits", "run", **variables)
    # One for the address, one for the head, one for the other nodes.
    wait_until(lambda: len([call for call in calls(cluster) if call.startswith("srun")]) == 3, job)
    wait_until((cluster / "running").exists, job)
    job.send_signal(signal.SIGTERM)
    assert job.wait(WAIT_SECONDS) == 143
    made = calls(cluster)
    head = "--nodes=1 --ntasks=1 --nodelist=node1"
    address = "10.0.0.1:20042"
    assert f"srun {head} ray start --head --node-ip-address=10.0.0.1 --port=20042 --block" in made
    others = "--nodes=2 --ntasks-per-node=1 --exclude=node1"
    assert f"srun {others} ray start --address={address} --block" in made
    (search,) = (call for call in made if call.startswith("mnas search"))
    assert search == f"mnas search digits --out run --engine.address {address} --engine.no-pin"
    assert f"ray health-check --address {address}" in made


def test_options_of_slurm_let_the_search_end_and_the_job_requeue():
    options = {
        line.removeprefix("#SBATCH ")
        for line in SCRIPT.read_text().splitlines()
        if line.startswith("#SBATCH ")
    }
    # SIGTERM to the batch script only, two minutes before the time limit; one log for all starts.
    assert {"--requeue", "--signal=B:TERM@120", "--open-mode=append"} <= options


@pytest.mark.slow
def test_a_search_stopped_by_sigterm_ends_as_the_undisturbed_one(cluster, start):
    write_program(cluster, "mnas", f'exec "{sys.executable}" -m mnas "$@"')
    flags = ["--search.trials", "2000", "--search.batch", "8", "--controller", "random"]
    flags = ["b0-imagenet", "run", *flags[4:], *flags[:4]]
    job = start(*flags)
    journal = cluster / "run" / "journal.jsonl"
    wait_until(lambda: journal.exists() and journal.stat().st_size > 200_000, job)
    job.send_signal(signal.SIGTERM)
    assert job.wait(WAIT_SECONDS) == 143
    assert calls(cluster) == ["scontrol requeue 42"]
    stopped = load_run(cluster / "run")
    assert 0 < len(stopped.results) < 2000

    assert start("b0-imagenet", "run", "--search.trials", "2000").wait() == 0
    flags[1] = "undisturbed"
    assert start(*flags).wait() == 0
    facts = [
        [(run.decisions[r.trial], r.reward) for r in run.results]
        for run in map(load_run, (cluster / "run", cluster / "undisturbed"))
    ]
    assert len(facts[0]) == 2000 and facts[0] == facts[1]
