"""Builds the feature: ``python setup.py build_ext --inplace`` here, or ``pip install --no-build-isolation .``."""

import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

from engine.custom import include_dirs

feature = Extension(
    "own_feature",
    ["own_feature.pyx"],
    include_dirs=include_dirs(),
    # No contracted multiply-adds: the same doubles on every machine.
    extra_compile_args=[] if sys.platform == "win32" else ["-O3", "-ffp-contract=off"],
)
setup(name="own-feature", version="1.0", ext_modules=cythonize([feature], include_path=include_dirs()))
