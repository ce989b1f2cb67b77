"""Networks and seeds of a list run side by side on Ray's workers."""

import dataclasses
import time
from pathlib import Path

from mnas.engines.config import EngineConfig
from mnas.evaluation import Evaluation
from mnas.experiment.network_list import evaluate
from tests.runs import network


@dataclasses.dataclass(frozen=True)
class Meeting:
    """Evaluator that waits until another evaluation has begun, too."""

    directory: str

    def build(self):
        return self

    def __call__(self, architecture, seed, report=None):
        (Path(self.directory) / str(seed)).touch()
        deadline = time.monotonic() + 60
        while len(list(Path(self.directory).iterdir())) < 2:
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.01)
        return Evaluation(accuracy=0.5)


def test_seeds_of_a_network_are_evaluated_side_by_side(tmp_path, local_ray):
    (tmp_path / "begun").mkdir()
    evaluator = Meeting(str(tmp_path / "begun"))
    engine = EngineConfig(kind="ray", workers=2)
    results = evaluate([network()], evaluator, engine, 2, tmp_path)
    assert [[(r.accuracy, r.error) for r in of_seed] for of_seed in results] == [[(0.5, None)]] * 2
