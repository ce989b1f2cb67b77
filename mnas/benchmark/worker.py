"""Program of a worker process: builds, times and trains children with one contender.

    python worker.py JOB

JOB is a JSON object:

    contender     path of the contender's file, which has a class `Contender` (below)
    cores         cores that this process may use
    threads       number of computing threads
    images        path of the `.npz` file of `mnas.benchmark.children.write_images`
    settings      of training (`mnas.training.config.TrainingConfig`) or inference
    compile       whether a contender that can run without compiling compiles

Every line of standard input is then a request, and every line of standard output its answer:

    {"do": "build", "child": ...}      {"seconds", "params"}           includes the first step
    {"do": "measure", "seconds": S}    {"seconds", "steps"}            steps in a row for S seconds
    {"do": "train", "child": ...}      {"seconds", "compile_seconds", "accuracy"}
    {"do": "memory"}                   {"megabytes"}                   peak resident set so far

or {"error": "one line"}, with "missing": name of a module that is not installed, if that is the
cause. `child` is a dictionary of `mnas.benchmark.children.description`.

This file needs the standard library only, so that any interpreter can run it; the contender's file
imports the libraries. A `Contender` is constructed from the job and has

    build(child) -> params     prepares a network for steps; returns its number of parameters
    step() -> result           one training step (or batch of inference) on a batch in memory; may
                               return before the computation has finished
    wait(result)               returns when that result is computed
    train(child)               trains from scratch for all epochs; returns {"compile_seconds",
                               "accuracy"}, and "trace_seconds" where the library traces
    versions                   versions of its libraries, by name
"""

import importlib.util
import json
import os
import sys
import time
import types
from typing import Any


def main() -> None:
    """Answer requests until standard input ends."""
    job = json.loads(sys.argv[1])
    # Before numerical libraries are imported: they start as many threads as they see cores.
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        os.sched_setaffinity(0, job["cores"])
    # Answers keep the original standard output; what libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)

    def send(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    try:
        contender = load(job["contender"]).Contender(job)
    except Exception as error:
        send(failure(error))
        return
    send({"versions": contender.versions})
    for line in sys.stdin:
        try:
            answer = respond(contender, json.loads(line))
        except Exception as error:  # any failure of a contender is a result of the benchmark
            answer = failure(error)
        send(answer)


def load(path: str) -> types.ModuleType:
    """Return the module in the file `path`."""
    spec = importlib.util.spec_from_file_location("contender", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failure(error: Exception) -> dict[str, Any]:
    """Return the answer for an exception."""
    if isinstance(error, ModuleNotFoundError):
        return {"error": str(error), "missing": error.name}
    lines = str(error).strip().splitlines() or [""]
    return {"error": f"{type(error).__name__}: {lines[0]}".rstrip(": ")}


def respond(contender: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one request."""
    if request["do"] == "memory":
        return {"megabytes": peak_megabytes()}
    if request["do"] == "measure":
        return measure(contender, request["seconds"])
    began = time.perf_counter()
    if request["do"] == "train":
        answer = contender.train(request["child"])
    else:
        answer = {"params": contender.build(request["child"])}
        contender.wait(contender.step())
    return {**answer, "seconds": time.perf_counter() - began}


def measure(contender: Any, seconds: float) -> dict[str, Any]:
    """Time consecutive steps for `seconds`, at least two, from one finished step to another.

    A step is issued before the previous one is waited for, so that contenders that compute
    asynchronously are never idle.
    """
    contender.wait(contender.step())
    began = time.perf_counter()
    pending, steps = contender.step(), 1
    while steps < 2 or time.perf_counter() - began < seconds:
        following = contender.step()
        steps += 1
        contender.wait(pending)
        pending = following
    contender.wait(pending)
    return {"seconds": time.perf_counter() - began, "steps": steps}


def peak_megabytes() -> float:
    """Return the peak resident set of this process, in 10^6 bytes."""
    try:
        with open("/proc/self/status", encoding="utf-8") as status:
            (kibibytes,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
            return int(kibibytes) * 1024 / 1e6
    except OSError:
        import resource  # not on Windows

        # Not used on Linux, where it includes the peak of the process that started this one.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    main()
