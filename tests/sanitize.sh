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

export PYTHONPATH="$PWD/$built/lib"
# Python itself is not built for them, so the run-time library has to be there first; and the C++
# library before it looks for the functions that it wraps, or the first C++ exception ends the
# process.
export LD_PRELOAD="$(cc -print-file-name=libasan.so) libstdc++.so.6"
# Python never frees all it has at its end, so leaks are the business of the C tests. A large
# quarantine of freed memory would look like a leak to the tests that measure memory. Reports go to
# files: pytest would swallow them, and a test that kills workers would not notice one more death.
log=log_path=$PWD/$built/report
export ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=4:allocator_may_return_null=1:$log
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:$log

"$bin/python" -P - <<'END'
import ctypes
from fastfeed import _core
assert "build/sanitize" in _core.__file__, _core.__file__
assert ctypes.CDLL(None).__asan_init, "the address sanitizer is not loaded"
assert b"__asan_report_load" in open(_core.__file__, "rb").read(), "not compiled for it"
END

# Pictures are drawn from records that were read, and pages run much of other libraries: neither
# reaches more of the core than the others do.
[ $# -gt 0 ] || set -- tests/unit tests/process tests/device \
  --ignore-glob='*/test_pictures_*.py' --ignore=tests/process/test_docs_run.py
status=0
"$bin/pytest" -p no:cacheprovider "$@" || status=$?
for report in "$built"/report.*; do
  [ -e "$report" ] || continue
  cat "$report"
  status=1
done
exit $status
