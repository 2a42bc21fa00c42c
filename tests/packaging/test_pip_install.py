"""`pip install .` works as a user would type it, under every supported Python of this machine.

Goal: the wheel builds in isolation from the tools of this environment, installs into an empty
one, and brings what `import finops`, its typing and its console script need.
The builds share ccache's objects, so that only the bindings are compiled once per Python.
"""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess

import interpreters
import pytest
from commands import run_command

ROOT = pathlib.Path(__file__).resolve().parents[2]

IMPORT_PROGRAM = """
import importlib.metadata, importlib.resources, json, finops
package = importlib.resources.files("finops")
print(json.dumps({
    "version": importlib.metadata.version("finops-train"),
    "file": finops.__file__,
    "installed": [str(path) for path in importlib.metadata.files("finops-train")],
    "money": str(finops.Money.parse("24.50 USD")),
    "typed": package.joinpath("py.typed").is_file(),
    "prices": len(json.loads(package.joinpath("data/price_book.json").read_text())["skus"]),
}))
"""


def project_version() -> str:
    match = re.search(r"project\(finops VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert match is not None
    return match.group(1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", interpreters.SUPPORTED)
def test_pip_install_into_an_empty_environment(version: str, tmp_path: pathlib.Path) -> None:
    interpreter = interpreters.find_interpreter(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} with its headers on this machine")
    run_command(interpreter, "-m", "venv", str(tmp_path / "venv"), cwd=tmp_path)
    python = str(tmp_path / "venv" / "bin" / "python")

    # A build folder below the source folder, at the depth of the others, so that ccache finds
    # their objects again; of its own, so that the developer's is not wiped.
    build_dir = ROOT / "build" / f"pip-{version}"
    try:
        run_command(
            *(python, "-m", "pip", "install", "--disable-pip-version-check", str(ROOT)),
            f"--config-settings=build-dir={build_dir}",
            "--config-settings=cmake.define.FINOPS_WERROR=ON",
            cwd=tmp_path,
        )
    finally:
        shutil.rmtree(build_dir, ignore_errors=True)

    found = json.loads(run_command(python, "-c", IMPORT_PROGRAM, cwd=tmp_path))
    assert pathlib.Path(found["file"]).is_relative_to(tmp_path), "imported from the source tree"
    assert found["version"] == project_version()
    assert found["money"] == "24.5 USD"
    assert found["typed"]
    assert found["prices"] > 0
    places = re.compile(r"finops/|finops_train-[^/]*\.dist-info/|(\.\./)+bin/finops$")
    assert [path for path in found["installed"] if not places.match(path)] == []
    assert [path for path in found["installed"] if path.endswith((".hpp", ".a"))] == []

    # The command line is an extra: without it the script says what to install.
    script = str(tmp_path / "venv" / "bin" / "finops")
    refused = subprocess.run([script, "ps"], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "finops-train[cli]" in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr, refused.stderr
