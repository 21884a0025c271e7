#!/usr/bin/env bash
# Runs the tests of the Python package. Usage: run_pytest.sh FOLDER. Environment: PYTHON, and what the package reads.
# Exit code 77: skipped, for want of pytest or NumPy.
set -euo pipefail
if ! missing=$("$PYTHON" -c 'import numpy, pytest' 2>&1); then
  echo "skipped: ${missing##*$'\n'} (tools/setup.sh python installs pytest and NumPy)"
  exit 77
fi
exec "$PYTHON" -m pytest -q -p no:cacheprovider "$1"
