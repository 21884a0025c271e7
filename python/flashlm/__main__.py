"""The program flashlm, as `python -m flashlm`."""
import os
import sys
from pathlib import Path

from flashlm._library import FOLDER


def main() -> None:
    """Becomes the program, with the arguments of this one."""
    program = os.environ.get("FLASHLM_PROGRAM") or str(Path(FOLDER) / "bin" / "flashlm")
    if not os.path.exists(program):
        sys.exit(f"error: there is no {program} (hint: install the package with pip, or say where in FLASHLM_PROGRAM)")
    os.execv(program, ["flashlm", *sys.argv[1:]])


if __name__ == "__main__":
    main()
