"""finops in somebody else's CMake project: install it, find it, build examples/cpp_service, run it.

The library is built static and shared, since what a consumer must find differs: a static finops
leaves SQLite to the final link, a shared one asks for nothing.
"""

from __future__ import annotations

import decimal
import pathlib
import re
import shutil

import pytest
from commands import run_command

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", params=["static", "shared"])
def prefix(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """An installation of finops in a folder of its own."""
    prefix = tmp_path_factory.mktemp(request.param)
    # Below the source folder, at the depth of the other builds: ccache finds their objects again.
    build_dir = ROOT / "build" / f"install-{request.param}"
    shared = "ON" if request.param == "shared" else "OFF"
    try:
        run_command(
            *("cmake", "-S", ".", "-B", str(build_dir), "-G", "Ninja"),
            *("-DCMAKE_BUILD_TYPE=Release", "-DFINOPS_WERROR=ON", f"-DBUILD_SHARED_LIBS={shared}"),
            f"-DCMAKE_INSTALL_PREFIX={prefix}",
            cwd=ROOT,
        )
        run_command("cmake", "--build", str(build_dir), cwd=ROOT)
        run_command("cmake", "--install", str(build_dir), cwd=ROOT)
    finally:
        shutil.rmtree(build_dir, ignore_errors=True)
    return prefix


def test_the_example_builds_and_runs_against_an_installation(
    prefix: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    # A copy outside the tree: nothing but the installation can be found from there.
    shutil.copytree(ROOT / "examples" / "cpp_service", tmp_path / "service")
    configured = run_command(
        *("cmake", "-S", "service", "-B", "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}"),
        cwd=tmp_path,
    )
    assert "deprecated" not in configured.lower(), configured
    run_command("cmake", "--build", "build", cwd=tmp_path)
    output = run_command("build/cpp_service", cwd=tmp_path)
    # Half a second of work at a price that only the installed price book can have given.
    shown = re.fullmatch(
        r"run \S+ cost (\S+) USD at (\S+) USD/h\ndataset:search-index cost (\S+) USD\n", output
    )
    assert shown is not None, output
    assert decimal.Decimal(shown[1]) > 0
    assert decimal.Decimal(shown[2]) > 0
    assert shown[3] == shown[1], "nothing else made what the index needed"


def test_the_installation_asks_for_no_json_library(prefix: pathlib.Path) -> None:
    exported = "".join(path.read_text() for path in prefix.rglob("finops*.cmake"))
    assert "finops::finops" in exported
    assert "nlohmann" not in exported
    assert (prefix / "share" / "finops" / "price_book.json").is_file()
