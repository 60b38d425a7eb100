"""Settings of hypothesis: the same examples on every run, and how to repeat one that failed."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fastfeed",
    derandomize=True,
    print_blob=True,
    deadline=None,  # a slow machine is no failure
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("fastfeed")
