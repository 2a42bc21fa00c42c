#!/usr/bin/env bash
# fuzz.sh - runs the fuzz targets, several at once, and stops at the first that fails.
#
# Owns: how long and on which corpus they run. Does not own: building them (Makefile, CMake).
# Invariant: exits 0 only if every target ran its whole time and none crashed, leaked or hung.
#
# Usage: scripts/fuzz.sh SECONDS [TARGET...]      targets as in tests/fuzz/fuzz_TARGET.cpp
set -euo pipefail
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
cd "$(dirname "$0")/.."

binaries=build/fuzz/tests/fuzz
limit=${1:?seconds}
shift
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
  mapfile -t targets < <(for source in tests/fuzz/fuzz_*.cpp; do
    name=$(basename "$source" .cpp)
    printf '%s\n' "${name#fuzz_}"
  done)
fi

# fuzz_one SECONDS TARGET: what it finds new is kept in build/fuzz/corpus, for the next run.
fuzz_one() {
  local seconds=$1 target=$2 log=build/fuzz/logs/$2.log dictionary=() input
  mkdir -p "build/fuzz/corpus/$target" build/fuzz/logs "build/fuzz/crashes/$target"
  if [ -f "tests/fuzz/$target.dict" ]; then
    dictionary=("-dict=tests/fuzz/$target.dict")
  fi
  if "$binaries/fuzz_$target" "-max_total_time=$seconds" -timeout=20 -rss_limit_mb=2048 \
    -max_len=8192 "${dictionary[@]}" "-artifact_prefix=build/fuzz/crashes/$target/" \
    "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
    printf 'fuzz %-14s %s\n' "$target" "$(grep -E '^Done [0-9]+ runs' "$log" || tail -n 1 "$log")"
    return 0
  fi
  grep -vE '^#[0-9]+|^\s+NEW_FUNC|^INFO' "$log" | tail -n 40
  input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  printf '\nfuzz %s FAILED; the input: %s\n' "$target" "${input:-none was written}"
  printf 'replay: %s %s\n' "$binaries/fuzz_$target" "$input"
  return 255 # xargs starts no further target
}
export -f fuzz_one
export binaries

printf '%s\n' "${targets[@]}" |
  xargs -P "${JOBS:-$(nproc)}" -I '{}' bash -c 'fuzz_one "$@"' _ "$limit" '{}'
