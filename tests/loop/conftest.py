import pytest

from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal
from mnas.loop.search import Search
from tests.loop.searches import ACCURACY, SPACE


@pytest.fixture
def start(tmp_path):
    """Return a function that opens a search on a journal, after closing the one before."""
    opened = []

    def make(controller, *, path=None, reward=ACCURACY, observers=(), space=SPACE, **config):
        while opened:
            opened.pop().close()
        opened.append(Journal(path or tmp_path / "journal.jsonl"))
        return Search(space, controller, reward, SearchConfig(**config), opened[-1], observers)

    yield make
    while opened:
        opened.pop().close()
