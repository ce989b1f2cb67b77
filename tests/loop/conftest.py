import pytest

from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from tests.loop.searches import ACCURACY, SPACE, open_journal


@pytest.fixture
def start(tmp_path):
    """start(controller, trials=..., ...) -> Search on one journal, closed at the end."""
    opened = []

    def make(controller, *, path=None, reward=ACCURACY, observers=(), space=SPACE, **config):
        while opened:
            opened.pop().close()
        opened.append(open_journal(path or tmp_path / "journal.jsonl"))
        return Search(space, controller, reward, SearchConfig(**config), opened[-1], observers)

    yield make
    while opened:
        opened.pop().close()
