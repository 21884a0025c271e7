#!/usr/bin/env bash
# Installs what is missing, builds the release and runs every test. Arguments go to ctest: ./test.sh -R gemm
set -euo pipefail
cd "$(dirname "$0")"
tools/setup.sh python mpi ||
  echo "test: without pytest, NumPy and matplotlib tests of the Python package are skipped, without Open MPI those of mpirun" >&2
tools/setup.sh browser || echo "test: without a Chromium the tests of the pages are skipped" >&2
tools/build.sh
exec ctest --test-dir build/release --output-on-failure --parallel "$(nproc)" "$@"
