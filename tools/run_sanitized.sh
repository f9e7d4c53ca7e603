#!/usr/bin/env bash
# Runs a sanitizer build of the unit tests. Leaks are looked for in code of this repository only: the Vulkan drivers
# and Dawn keep allocations until the process ends.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ASAN_OPTIONS=detect_leaks=1:${ASAN_OPTIONS:-}
export LSAN_OPTIONS=suppressions=$root/tools/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
exec "$@"
