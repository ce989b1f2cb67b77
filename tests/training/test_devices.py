"""Batches split over several devices, and over several processes, in processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mnas.errors import UsageError
from mnas.training.devices import Devices
from mnas.training.processes import join

ROOT = Path(__file__).parents[2]
PROGRAM = """
    import json, sys, types
    from pathlib import Path

    import numpy as np

    from mnas.architecture.architecture import Architecture
    from mnas.architecture.block import Block
    from mnas.data.images import Images, Subset
    from mnas.errors import UsageError
    from mnas.training.checkpoint import CheckpointConfig
    from mnas.training.config import TrainingConfig
    from mnas.training.devices import Devices
    from mnas.training.processes import join
    from mnas.training.whole_network import Retraining

    options = json.loads(sys.argv[1])
    if "coordinator" in options:
        join(options["coordinator"], 2, options["index"])
    network = Architecture(
        (Block(kernel=3, stride=2, filters=8, expand_ratio=2),),
        resolution=8, stem=8, head=16, classes=4, activation="swish", name="small",
    )
    labels = np.arange(96, dtype=np.int32) % 4
    pixels = np.random.default_rng(0).integers(0, 256, (96, 8, 8, 3), np.uint8)
    train, held_out = Subset.of(pixels, labels), Subset.of(pixels[:30], labels[:30])
    source = types.SimpleNamespace(digest=lambda: "random pixels")
    images = Images(train, held_out, held_out, tuple("0123"), source)
    settings = dict(
        epochs=2, batch_size=24, learning_rate=0.02, ema_decay=0.9, drop_path=0.1, dropout=0.1,
        flip=True, crop_padding=1,
    )
    config = TrainingConfig(**{**settings, **options.get("config", {})})

    def run(directory, devices):
        training = Retraining(
            network, images, config, 0, Path(directory),
            checkpoints=CheckpointConfig(steps=16), devices=devices,
        )
        steps = []
        def on_step(step):
            steps.append(step)
            if len(steps) == 2:
                print("training", flush=True)
        history = training.run(on_step=on_step)
        return [epoch.loss for epoch in history], str(training.test)
"""


def started(options: dict, body: str, devices: int) -> subprocess.Popen:
    """Start PROGRAM and `body` with so many virtual devices of the CPU."""
    flags = f"--xla_force_host_platform_device_count={devices} {os.environ.get('XLA_FLAGS', '')}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    program = textwrap.dedent(PROGRAM) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(options)],
        **{"env": {**environment, "PYTHONPATH": str(ROOT)}, "text": True},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def results(process: subprocess.Popen) -> list:
    """Return the last line that a program has printed, as JSON."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


def test_eight_devices_give_the_losses_of_one_and_indivisible_batches_are_rejected(tmp_path):
    body = """
        one, eight = (run(f"{options['out']}/{n}", Devices(n)) for n in (1, 8))
        try:
            run(options["out"], Devices(5))
        except UsageError as error:
            print(json.dumps([one, eight, str(error)]))
    """
    for name in ("1", "8"):
        (tmp_path / name).mkdir()
    options = {"out": str(tmp_path), "config": {"epochs": 1}}
    process = started(options, body, devices=8)
    (one, one_test), (eight, eight_test), message = results(process)
    assert len(one) == 1
    assert eight == pytest.approx(one, rel=1e-5)
    assert eight_test == one_test
    assert message == (
        "training: batch_size = 24 on 5 devices; accepted: a multiple of 5, such as 25"
    )


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return f"localhost:{listener.getsockname()[1]}"


def two_processes(out: Path, body: str, config: dict) -> list[subprocess.Popen]:
    """Start two processes of two devices each that train together."""
    common = {"coordinator": free_address(), "out": str(out), "config": config}
    return [started({**common, "index": index}, body, devices=2) for index in (0, 1)]


RUN = """
    print(json.dumps(run(options["out"], Devices())))
"""


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    alone.mkdir()
    first, second = [results(process) for process in two_processes(together, RUN, {})]
    assert first == second
    losses, test = results(started({"out": str(alone)}, RUN, devices=1))
    assert first[0] == pytest.approx(losses, rel=1e-5)
    assert first[1] == test
    assert (together / "weights.safetensors").exists()


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_ends_both_with_a_checkpoint(tmp_path):
    processes = two_processes(tmp_path, RUN, {"epochs": 100_000, "schedule": "constant"})
    try:
        assert "training\n" in iter(processes[1].stdout.readline, "")
        processes[1].send_signal(signal.SIGTERM)
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode != 0
            assert "Terminated" in errors
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert any((tmp_path / "checkpoints").iterdir())


def test_arguments_of_several_processes_come_together():
    with pytest.raises(UsageError, match=r"processes = None, .*accepted: all three, or none"):
        join("localhost:1", None, 0)


def test_a_number_of_devices_that_do_not_exist_is_rejected():
    with pytest.raises(ValueError, match="count = 1000; accepted: 1 to"):
        Devices(1000)
