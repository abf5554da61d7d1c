"""Builds the compiled rooms. Everything declarative lives in pyproject.toml.

Environment variables (each off unless set to 1):

* ``MICROBURST_ANNOTATE``: write Cython's annotated HTML beside each module
* ``MICROBURST_COVERAGE``: line tracing, for branch coverage of the compiled code
* ``MICROBURST_SANITIZE``: AddressSanitizer and UndefinedBehaviorSanitizer
* ``MICROBURST_PORTABLE_INT128``: the 128-bit arithmetic of compilers without ``__int128`` (tests use it)
* ``MICROBURST_ONLY=_core,_wire``: build just these modules (for developers)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup


def switched_on(name: str) -> bool:
    return os.environ.get(f"MICROBURST_{name}", "") == "1"


COVERAGE = switched_on("COVERAGE")
SANITIZE = switched_on("SANITIZE")
WINDOWS = sys.platform == "win32"

# Portable flags only: no -march=native, no fast-math. Contracted multiply-adds would make C and Python disagree. That
# nobody reads errno or floating-point exceptions changes no result, and lets compilers do several roots at once.
PORTABLE = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
PORTABLE += ["-fno-strict-aliasing", "-Wno-unused-function"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
compile_args = ["/O2", "/fp:strict"] if WINDOWS else PORTABLE
link_args: list[str] = []
macros: list[tuple[str, str | None]] = [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")]
if SANITIZE:
    compile_args = [*compile_args, "-O1", "-g", "-fno-omit-frame-pointer", *SANITIZERS]
    link_args += SANITIZERS
if COVERAGE:
    macros.append(("CYTHON_TRACE_NOGIL", "1"))
if switched_on("PORTABLE_INT128"):
    macros.append(("MICROBURST_PORTABLE_INT128", "1"))

only = {name for name in os.environ.get("MICROBURST_ONLY", "").split(",") if name}
sources = [path for path in sorted(Path("engine").glob("*.pyx")) if not only or path.stem in only]
extensions = [
    Extension(
        f"engine.{path.stem}",
        [path.as_posix()],
        include_dirs=[np.get_include(), "engine"],
        depends=[header.as_posix() for header in sorted(Path("engine").glob("*.h"))],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for path in sources
]

setup(
    ext_modules=cythonize(
        extensions,
        annotate=switched_on("ANNOTATE"),
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "embedsignature": True,
            "linetrace": COVERAGE,
        },
    )
)
