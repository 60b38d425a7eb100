#!/bin/sh
# Runs the unit and process tests with the core under AddressSanitizer and
# UndefinedBehaviorSanitizer: `make sanitize`, or with arguments for pytest:
#
#     sh tests/sanitize.sh tests/process/test_process_deaths.py -k killed
#
# The same tests, in a build of its own under build/sanitize; the usual build is left alone. Worker
# processes run under the sanitizers as well: the fork server inherits this environment.
set -eu
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
built=build/sanitize

rm -rf "$built"
FASTFEED_SANITIZE=address,undefined "$bin/python" setup.py --quiet build \
  --build-base "$built" --build-lib "$built/lib"

# Before any other pytest plugin or package could bring in another fastfeed.
export PYTHONPATH="$PWD/$built/lib"
# Python itself is not built for them, so the run-time library has to be there first. Python never
# frees all it has at its end: leaks are the business of the C tests. The quarantine of freed memory
# would look like a leak to the tests that measure memory.
export LD_PRELOAD="$(cc -print-file-name=libasan.so)"
export ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=4:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

"$bin/python" -P - <<'END'
import ctypes
from fastfeed import _core
assert "build/sanitize" in _core.__file__, _core.__file__
assert ctypes.CDLL(None).__asan_init, "the address sanitizer is not loaded"
assert b"__asan_report_load" in open(_core.__file__, "rb").read(), "not compiled for it"
END

[ $# -gt 0 ] || set -- tests/unit tests/process
exec "$bin/pytest" -p no:cacheprovider "$@"
