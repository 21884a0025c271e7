#!/usr/bin/env bash
# Installs what is missing and builds the release into build/release. Usage: tools/build.sh [--dev | --ci] [TARGET...]
#   --dev   as FlashLM is developed: warnings are errors, and the tools of tools/lint.sh are installed too
#   --ci    the same for a tree that is built once: without ccache, in half of the time
# Without targets everything is built.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=release setup=()
if [[ ${1:-} == --dev || ${1:-} == --ci ]]; then
  preset=${1#--} setup=(dev)
  shift
fi
tools/setup.sh "${setup[@]}"

mkdir -p build
log=build/configure.log
if ! cmake --preset "$preset" >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
# Without a terminal, ninja would print a line for every file.
quiet=()
[[ -t 1 ]] || quiet=(-- --quiet)
start=$SECONDS
echo "Building build/release on $(nproc) cores (some minutes the first time)"
cmake --build build/release --parallel "$(nproc)" ${1:+--target "$@"} "${quiet[@]}"
echo "Built in $((SECONDS - start)) s"
