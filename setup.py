"""Builds fastfeed._core from csrc/ and _core.pyx; everything else is in pyproject.toml.

FASTFEED_SANITIZE=address,undefined or =thread compiles the core for that checker.
"""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = ["arena", "arrivals", "bounce", "buffer", "cache", "copy", "cuda", "dlpack", "journal",
           "lease", "lifeline", "monitor", "numa", "numbers", "pin", "places", "pool", "ring",
           "ring_parent", "ring_worker", "shuffle", "upload", "uploading"]
HEADERS = [*SOURCES, "atomic", "clock", "fault", "park", "ring_words", "thread"]

sanitizers = os.environ.get("FASTFEED_SANITIZE")
flags = ["-std=c11", "-D_GNU_SOURCE", "-O3", "-Wall", "-Wextra", "-fvisibility=hidden"]
links = ["-pthread", "-ldl"]
if sanitizers:
    flags += [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer", "-g", "-O1"]
    links += [f"-fsanitize={sanitizers}"]

core = Extension(
    "fastfeed._core",
    sources=["fastfeed/_core.pyx", *(f"csrc/{name}.c" for name in SOURCES)],
    depends=[*glob("fastfeed/*.px[di]"), *(f"csrc/{name}.h" for name in HEADERS)],
    include_dirs=["csrc"],
    extra_compile_args=flags,
    extra_link_args=links,
)

setup(ext_modules=cythonize([core], compiler_directives={"language_level": 3}))
