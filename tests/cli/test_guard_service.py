"""The recipes of contrib/: the service file is one that systemd takes, the manifests are whole."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

CONTRIB = pathlib.Path(__file__).resolve().parents[2] / "contrib"


def test_systemd_takes_the_service_file(tmp_path: pathlib.Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "finops-guard.service"
    unit.write_text((CONTRIB / unit.name).read_text())
    verified = subprocess.run(
        [tool, "--user", "verify", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    # An unknown key is only warned about, with code 0.
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_the_manifests_share_what_a_guard_needs() -> None:
    import yaml  # comes with apprise

    pod = yaml.safe_load((CONTRIB / "container/kubernetes-sidecar.yaml").read_text())["spec"]
    (guard,), (training,) = pod["initContainers"], pod["containers"]
    assert pod["shareProcessNamespace"]
    assert guard["env"] == training["env"]
    assert training["volumeMounts"][0] in guard["volumeMounts"]
    spec = yaml.safe_load((CONTRIB / "container/kubernetes-daemonset.yaml").read_text())["spec"]
    node = spec["template"]["spec"]
    assert node["hostPID"]
    assert node["volumes"][0]["hostPath"]["path"]
