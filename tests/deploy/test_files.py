"""Files for Docker, Kubernetes and Ray's launcher, checked as far as that goes without them."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.documents import require_flags, stop_after_parsing

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
JOB = yaml.safe_load((DEPLOY / "kuberay-job.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
CLUSTER = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())


def groups():
    """Return the specifications of head and workers."""
    cluster = JOB["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_all_files_have_a_page():
    pages = "".join(path.read_text() for path in (ROOT / "docs" / "how-to").glob("*.md"))
    assert not {p.name for p in DEPLOY.iterdir() if f'--8<-- "deploy/{p.name}"' not in pages}


def test_ray_accepts_the_cluster_file_with_all_its_machines():
    prepared = prepare_config(CLUSTER)
    validate_config(prepared)
    (machines,) = prepared["available_node_types"].values()
    assert machines["min_workers"] == len(CLUSTER["provider"]["worker_ips"])
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config({**CLUSTER, "worker_ips": []}))


def test_the_job_runs_in_one_image_with_one_volume():
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    for group in groups():
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"].endswith(f"/mnas:{VERSION}")
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert container["resources"]["requests"] == container["resources"]["limits"]
    claims = {
        g["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] for g in groups()
    }
    assert claims == {"mnas-runs"}
    head, *workers = groups()
    assert head["rayStartParams"]["num-cpus"] == "0"
    for group in workers:
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] > 0
        assert group["groupName"]


def script():
    """Return the shell script of the job's command."""
    shell, flag, text = shlex.split(JOB["spec"]["entrypoint"])
    assert (shell, flag) == ("sh", "-c")
    return text


@pytest.mark.parametrize(("begun", "verb"), [(False, "search"), (True, "resume")])
def test_the_job_begins_a_run_and_continues_it(begun, verb, tmp_path):
    program = tmp_path / "mnas"
    program.write_text('#!/bin/sh\necho "$*"\n')
    program.chmod(0o755)
    if begun:
        (tmp_path / "digits-1").mkdir()
        (tmp_path / "digits-1" / "experiment.json").touch()
    done = subprocess.run(
        ["/bin/sh", "-c", script().replace("/runs", str(tmp_path))],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.split()
    assert words[0] == verb and f"{tmp_path}/digits-1" in words


def test_flags_of_the_job_exist(monkeypatch):
    stop_after_parsing(monkeypatch)
    (search,) = re.findall(r"exec (mnas search .*?);", script())
    require_flags(search)


def test_the_image_copies_files_that_exist_and_all_packages():
    copied = [
        name
        for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE)
        for name in line.split()
    ]
    assert all((ROOT / name).exists() for name in copied)
    assert {
        "mnas",
        "search_spaces",
        "controllers",
        "experiments",
        "pyproject.toml",
        "setup.py",
    } <= set(copied)
    # What setuptools reads for the metadata.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"]} <= set(copied)


def test_the_image_runs_mnas_as_a_user_without_privileges():
    instructions = dict(re.findall(r"^(FROM|USER|ENTRYPOINT) (.*)$", DOCKERFILE, re.MULTILINE))
    assert instructions["USER"] == "mnas"
    assert json.loads(instructions["ENTRYPOINT"]) == ["mnas"]
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    version = re.search(r"python:(\d+)\.(\d+)", instructions["FROM"]).groups()
    assert tuple(map(int, version)) >= tuple(map(int, re.findall(r"\d+", required)))
