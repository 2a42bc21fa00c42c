#!/usr/bin/env bash
# bootstrap.sh - makes a bare Debian-like machine able to build and test finops.
#
# Owns: system packages, the choice of a Python interpreter, the virtual environment and its tools.
# Does not own: building finops itself (the Makefile does).
# Invariant: idempotent; asks apt-get for nothing when nothing is missing; needs no answer on stdin.
#
# Usage: scripts/bootstrap.sh system          install missing system packages
#        scripts/bootstrap.sh browser         install a browser for tests, if it is missing
#        scripts/bootstrap.sh fuzz            install clang and its fuzzer, if they are missing
#        scripts/bootstrap.sh python          print the interpreter that would be used
#        scripts/bootstrap.sh venv [DIR]      create DIR (default .venv) with the development tools
#        scripts/bootstrap.sh peers [DIR]     add what the benchmarks compare with at full size
set -euo pipefail
cd "$(dirname "$0")/.."

readonly python_minimum='(3, 10)'
readonly python_beyond='(3, 14)'

say() { printf 'bootstrap: %s\n' "$*" >&2; }

# True if a cmake that really runs is at least 3.22 (the version that CMakeLists.txt asks for).
# A tool found on PATH may be a shim that fails, so it is run and not only looked up.
cmake_is_recent() {
  local version
  version=$(cmake --version 2>/dev/null | awk 'NR == 1 { print $3 }') || return 1
  [ -n "$version" ] || return 1
  [ "$(printf '3.22\n%s\n' "$version" | sort -V | head -n 1)" = 3.22 ]
}

# Prints the Debian packages that are not installed, one a line.
missing_packages() {
  local package wanted
  wanted=(libsqlite3-dev libcctz-dev libmd-dev tzdata nlohmann-json3-dev libeigen3-dev
    libgtest-dev libbenchmark-dev python3-venv python3-dev strace ccache graphviz)
  cmake_is_recent || wanted+=(cmake)
  ninja --version >/dev/null 2>&1 || wanted+=(ninja-build)
  g++ --version >/dev/null 2>&1 || wanted+=(g++)
  for package in "${wanted[@]}"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      printf '%s\n' "$package"
  done
}

# True if clang++ is there and links a fuzz target.
clang_can_fuzz() {
  local folder status=0
  folder=$(mktemp -d)
  printf 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n' \
    >"$folder/target.cpp"
  clang++ -fsanitize=fuzzer,address,undefined -o "$folder/target" "$folder/target.cpp" \
    >/dev/null 2>&1 || status=1
  rm -rf "$folder"
  return "$status"
}

# Prints what fuzzing needs beside the rest: clang, and the fuzzer of the same version, whose number
# is part of its package's name.
missing_fuzz_packages() {
  local version
  clang_can_fuzz && return 0
  version=$(clang++ -dumpversion 2>/dev/null | cut -d . -f 1) ||
    version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
  printf '%s\n' clang "libclang-rt-${version:-14}-dev"
}

# Prints what the tests of pages in a real browser need beside the rest.
missing_browser_packages() {
  chromium --version >/dev/null 2>&1 || printf 'chromium\n'
  chromedriver --version >/dev/null 2>&1 || printf 'chromium-driver\n'
}

# Installs what the function $1 prints, or says exactly what to type and fails.
install_system_packages() {
  local as_root=() missing list=$1
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "this is no Debian-like system, so no package is installed. Needed: a C++20 compiler," \
      "cmake >= 3.22, ninja, the headers of SQLite >= 3.37, CCTZ and libmd," \
      "nlohmann-json >= 3.9, Eigen >= 3.4, GoogleTest, Google Benchmark and Python >= 3.10, and" \
      "optionally ccache, strace, graphviz, chromium with its driver, and (for make fuzz) clang" \
      "with libFuzzer."
    return 0
  fi
  mapfile -t missing < <("$list")
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
    if ! sudo -n true 2>/dev/null; then
      say "these Debian packages are missing and this user may not install them: ${missing[*]}"
      say "please run: sudo apt-get update && sudo apt-get install -y --no-install-recommends" \
        "${missing[*]}"
      return 1
    fi
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq </dev/null >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
}

# True if $1 starts, has a supported version, can make a virtual environment, and has its C headers.
python_is_usable() {
  "$1" - >/dev/null 2>&1 <<PYTHON
import ensurepip, os, sqlite3, sys, sysconfig, venv
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
supported = ${python_minimum} <= sys.version_info[:2] < ${python_beyond}
sys.exit(0 if supported and os.path.exists(header) else 1)
PYTHON
}

# Prints the path of the interpreter to use. 3.11 comes first: it is Debian 12's own.
choose_python() {
  local candidate name
  for name in ${FINOPS_PYTHON:-} python3.11 python3 python3.12 python3.13 python3.10; do
    while IFS= read -r candidate; do
      if python_is_usable "$candidate"; then
        printf '%s\n' "$candidate"
        return 0
      fi
    done < <(type -ap "$name" || true)
  done
  say "no usable Python 3.10 to 3.13 with venv, sqlite3 and its headers (Python.h) was found;" \
    "on Debian: sudo apt-get install -y python3 python3-venv python3-dev," \
    "or set FINOPS_PYTHON to an interpreter."
  return 1
}

# Creates the virtual environment $1 with the build backend and the development tools.
# The list of tools stands in pyproject.toml alone, and is read from there.
create_venv() {
  local venv=$1 python
  if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    python=$(choose_python)
    say "creating $venv with $python ($("$python" --version))"
    rm -rf "$venv"
    "$python" -m venv "$venv"
  fi
  install_groups "$venv" build-system cli bench dev
}

# Installs groups of pyproject.toml ($2 and on) into the virtual environment $1.
install_groups() {
  local venv=$1 requirements
  requirements=$("$venv/bin/python" scripts/requirements.py "${@:2}")
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
    -r <(printf '%s\n' "$requirements") </dev/null >&2
}

case "${1:-}" in
  system) install_system_packages missing_packages ;;
  browser) install_system_packages missing_browser_packages ;;
  fuzz) install_system_packages missing_fuzz_packages ;;
  python) choose_python ;;
  venv) create_venv "${2:-.venv}" ;;
  peers) install_groups "${2:-.venv}" peers ;;
  *)
    sed -n 's/^# \{0,1\}//; 2,/^set/p' "$0" | grep -v '^set' >&2
    exit 2
    ;;
esac
