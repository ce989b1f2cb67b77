"""A worker process of the benchmark: builds, times and trains the children of one side.

    python worker.py JOB

JOB is a JSON object:

    side          path of the side's file, which has a class `Side` (below)
    cores         cores that this process may use
    threads       threads for computing
    images        path of the `.npz` of `mnas.benchmark.children.write_images`
    training      settings: epochs, batch_size, learning_rate, ... (`mnas.training.config.TrainingConfig`)
    compiled      whether the side is to compile what it can run without, too

Then every line of standard input is a request, and every line of standard output its answer:

    {"do": "build", "child": ...}      {"seconds", "params"}           with the first step
    {"do": "measure", "seconds": S}    {"seconds", "steps"}            steps in a row for S seconds
    {"do": "train", "child": ...}      {"seconds", "compile_seconds", "accuracy"}
    {"do": "memory"}                   {"megabytes"}                   peak resident set so far

or {"error": "in one line"}, with "missing": the module that is not installed, if that is the cause.

Any interpreter can run this file: what a side needs is imported by the side's own file. A `Side`
is made of the job and has

    build(child) -> params     the network in training, to be stepped from now on
    step() -> loss             one update by one batch that stays in memory; may be under way yet
    wait(loss)                 returns when that loss is known
    train(child)               {"compile_seconds", "accuracy"}, from scratch, all epochs; may have
                               "trace_seconds", which its library took before it compiled
    versions                   of the libraries it stands on
"""

import functools
import importlib.util
import json
import os
import sys
import time


def main():
    """Answers requests until standard input ends."""
    job = json.loads(sys.argv[1])
    # Before numerical libraries are loaded, which make as many threads as they see cores.
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        os.sched_setaffinity(0, job["cores"])
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(call):
        try:
            found = call()
        except ModuleNotFoundError as error:
            found = {"error": str(error), "missing": error.name}
        except Exception as error:  # whatever a peer raises is a result, told to the driver
            lines = str(error).strip().splitlines() or [""]
            found = {"error": f"{type(error).__name__}: {lines[0]}".rstrip(": ")}
        answers.write(json.dumps(found) + "\n")
        return "error" not in found

    made = []

    def start():
        made.append(load(job["side"]).Side(job))
        return {"versions": made[0].versions}

    if answer(start):
        for line in sys.stdin:
            answer(functools.partial(respond, made[0], json.loads(line)))


def load(path):
    """The module in the file `path`."""
    spec = importlib.util.spec_from_file_location("side", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def respond(side, request):
    """The answer to one request."""
    if request["do"] == "memory":
        return {"megabytes": peak_megabytes()}
    if request["do"] == "measure":
        return measure(side, request["seconds"])
    began = time.perf_counter()
    if request["do"] == "train":
        found = side.train(request["child"])
    else:
        found = {"params": side.build(request["child"])}
        side.wait(side.step())
    return {**found, "seconds": time.perf_counter() - began}


def measure(side, seconds):
    """Steps without a break for `seconds`, at least two, timed from one known loss to another.

    A step is handed over before the loss of the step before is asked for, so that sides which
    compute asynchronously never run dry.
    """
    side.wait(side.step())
    began = time.perf_counter()
    under_way, steps = side.step(), 1
    while steps < 2 or time.perf_counter() - began < seconds:
        following = side.step()
        steps += 1
        side.wait(under_way)
        under_way = following
    side.wait(under_way)
    return {"seconds": time.perf_counter() - began, "steps": steps}


def peak_megabytes():
    """Largest resident set of this process, in 10^6 bytes."""
    try:
        with open("/proc/self/status") as status:
            (kibibytes,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
            return int(kibibytes) * 1024 / 1e6
    except OSError:
        import resource  # not on Windows

        # It would also count the process that started this one, on Linux.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    main()
