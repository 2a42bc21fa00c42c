#!/usr/bin/env bash
# bench.sh - runs every benchmark: the C++ ones of the release build, then the Python ones.
#
# Owns: finding them, and saying on what they ran. Does not own: what they measure.
# Invariant: a benchmark that fails, or the lack of any, is a failure.
#
# Usage: scripts/bench.sh [--short]   --short: just long enough to show that they work. Benchmarks
#        see FINOPS_BENCH_SHORT=1 then, Python ones (benchmarks/python/bench_*.py) `--short` too.
set -euo pipefail
cd "$(dirname "$0")/.."

cpp_arguments=(--benchmark_counters_tabular=true)
python_arguments=()
case "${1:-}" in
  --short)
    export FINOPS_BENCH_SHORT=1
    cpp_arguments+=(--benchmark_min_time=0.01)
    python_arguments+=(--short)
    ;;
  '') cpp_arguments+=(--benchmark_repetitions=5 --benchmark_report_aggregates_only=true) ;;
  *)
    echo "usage: scripts/bench.sh [--short]" >&2
    exit 2
    ;;
esac

commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
git diff --quiet HEAD 2>/dev/null || commit+=' with changes'
processor=$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
printf 'commit %s; %s, %s cores; Linux %s\n' "$commit" "$processor" "$(nproc)" "$(uname -r)"

# Ledgers and pages of a benchmark are its own, never those of the person who runs it.
FINOPS_HOME=$(mktemp -d)
export FINOPS_HOME
trap 'rm -rf "$FINOPS_HOME"' EXIT

shopt -s nullglob
count=0
for program in build/release/benchmarks/bench_*; do
  printf '\n== %s\n' "${program##*/}"
  "$program" "${cpp_arguments[@]}"
  count=$((count + 1))
done
for script in benchmarks/python/bench_*.py; do
  printf '\n== %s\n' "${script##*/}"
  .venv/bin/python "$script" "${python_arguments[@]}"
  count=$((count + 1))
done
if [ "$count" -eq 0 ]; then
  echo "no benchmark found under build/release/benchmarks and benchmarks/python" >&2
  exit 1
fi
printf '\n%d benchmark programs ran\n' "$count"
