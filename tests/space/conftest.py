import pytest

from mnas.space import Space
from tests.space.spaces import SPACES


@pytest.fixture(params=SPACES, ids=lambda build: build.__name__)
def space(request) -> Space:
    return request.param()
