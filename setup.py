"""Package layout: the folders of instances lie beside `mnas/` and install as its subpackages.

So `from mnas.controllers import Dyna` is never shadowed by a user's own `controllers/` folder, nor
by another distribution's. Everything else about the project is in `pyproject.toml`.
"""

from setuptools import find_packages, setup

INSTANCES = ("search_spaces", "controllers", "experiments")

setup(
    packages=[
        *find_packages(include=["mnas", "mnas.*"]),
        *(f"mnas.{package}" for package in find_packages(include=[f"{n}*" for n in INSTANCES])),
    ],
    package_dir={f"mnas.{name}": name for name in INSTANCES},
)
