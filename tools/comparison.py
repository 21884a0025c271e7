"""What the comparisons with other programs have in common: how they are called, and that they skip what is not there."""

import argparse
import importlib
import os
import pathlib
import sys

SKIPPED = 77  # ctest's SKIP_RETURN_CODE


def comparison_parser(description: str | None) -> argparse.ArgumentParser:
    """Of MODEL and --flashlm, which every comparison has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--flashlm", default="build/release/flashlm")
    return parser


def need(*modules: str) -> None:
    """Ends the program, skipped, where one of them cannot be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as missing:
            print(f"skipped: {missing}")
            sys.exit(SKIPPED)


def flashlm_package(program: str):
    """The Python package of this checkout, with the library that was built beside the program."""
    os.environ.setdefault("FLASHLM_LIBRARY", str(pathlib.Path(program).resolve().parent / "libflashlm.so"))
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))
    return importlib.import_module("flashlm")
