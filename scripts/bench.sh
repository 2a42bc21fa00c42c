#!/usr/bin/env bash
# bench.sh - builds the C++ benchmarks (preset release), runs them and the Python ones, and prints
# one table.
#
# Owns: finding them, saying on what they ran, and the table of all. Does not own: what they measure
# and whether a goal is met (benchmarks/), nor the Python package (`make build` installs it).
# Invariant: a benchmark that fails, or the lack of any, is a failure; a missed goal is not.
#
# Usage: scripts/bench.sh [--short]   --short: just long enough to show that they work. Benchmarks
#        see FINOPS_BENCH_SHORT=1 then, Python ones (benchmarks/python/bench_*.py) `--short` too.
set -euo pipefail
cd "$(dirname "$0")/.."

cpp_arguments=()
python_arguments=(--json)
case "${1:-}" in
  --short)
    export FINOPS_BENCH_SHORT=1
    cpp_arguments+=(--benchmark_min_time=0.01)
    python_arguments+=(--short)
    ;;
  '') cpp_arguments+=(--benchmark_repetitions=9 --benchmark_enable_random_interleaving=true) ;;
  *)
    echo "usage: scripts/bench.sh [--short]" >&2
    exit 2
    ;;
esac

shopt -s nullglob
sources=(benchmarks/cpp/bench_*.cpp)
scripts=(benchmarks/python/bench_*.py)
if [ $((${#sources[@]} + ${#scripts[@]})) -eq 0 ]; then
  echo "no benchmark found under benchmarks/cpp and benchmarks/python" >&2
  exit 1
fi

# Results, ledgers and pages lie in a folder of their own, never in those of the person who runs it.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export FINOPS_HOME="$folder/home"

programs=()
for source in "${sources[@]}"; do
  programs+=("$(basename "$source" .cpp)")
done
if [ "${#programs[@]}" -gt 0 ]; then
  cmake --preset release >"$folder/build.txt" &&
    cmake --build --preset release --target "${programs[@]}" >>"$folder/build.txt" || {
    cat "$folder/build.txt" >&2
    exit 1
  }
fi

results=()
run() { # NAME COMMAND...: its last words are shown only if it fails
  echo "running $1" >&2
  if ! "${@:2}" 2>"$folder/errors.txt"; then
    cat "$folder/errors.txt" >&2
    exit 1
  fi
  grep -v -e '^\*\*\*WARNING' -e '^Run' -e '^CPU' -e '^  L' -e '^Load' -e '^20..-' \
    "$folder/errors.txt" >&2 || true
}
for program in "${programs[@]}"; do
  out="$folder/cpp_${program#bench_}.json"
  run "cpp/$program" "build/release/benchmarks/$program" "${cpp_arguments[@]}" \
    --benchmark_out="$out" --benchmark_out_format=json >/dev/null
  results+=("$out")
done
for script in "${scripts[@]}"; do
  name=$(basename "$script" .py)
  out="$folder/python_${name#bench_}.json"
  run "python/$name" .venv/bin/python "$script" "${python_arguments[@]}" >"$out"
  results+=("$out")
done

commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
git diff --quiet HEAD 2>/dev/null || commit+=' with changes'
processor=$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
printf '\n%s; commit %s; %s, %s cores, load %s; Linux %s\n\n' "$(date -u +%F)" "$commit" \
  "$processor" "$(nproc)" "$(cut -d ' ' -f 1 /proc/loadavg)" "$(uname -r)"
.venv/bin/python benchmarks/python/report.py "${results[@]}"
printf '\n%d benchmark programs ran\n' "${#results[@]}"
