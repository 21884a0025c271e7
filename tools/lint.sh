#!/usr/bin/env bash
# Checks the form of the sources: clang-format over all of them, clang-tidy over those that changed since BASE (default:
# where this branch left origin/main or main, or else the last commit), since a whole tree takes it ten minutes.
# Usage: tools/lint.sh [--all | BASE]
set -euo pipefail
cd "$(dirname "$0")/.."
readonly version=14  # Debian 12's: another version formats and warns in another way

# The program NAME in that version, or nothing and a word why.
tool() {
  local name
  for name in "$1-$version" "$1"; do
    if command -v "$name" >/dev/null && [[ $("$name" --version) == *"version $version."* ]]; then
      echo "$name"
      return
    fi
  done
  echo "lint: no $1 $version here (tools/setup.sh dev installs it on Debian 12); not checked" >&2
}

sources() { git ls-files -- "$@"; }

format=$(tool clang-format)
if [[ -n $format ]]; then
  sources '*.h' '*.cc' | xargs "$format" --dry-run --Werror || { echo "lint: clang-format -i on these" >&2; exit 1; }
  echo "lint: every file is as .clang-format says"
fi

tidy=$(tool clang-tidy)
[[ -n $tidy ]] || exit 0
if [[ ${1:-} == --all ]]; then
  files=$(sources 'src/*.cc')
else
  base=${1:-$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null || true)}
  # On the main branch itself what is new is the last commit.
  if [[ -z $base || $base == "$(git rev-parse HEAD)" ]]; then base=$(git rev-parse -q --verify HEAD~1 || true); fi
  [[ -n $base ]] || { echo "lint: no earlier commit to compare with; clang-tidy is left out"; exit 0; }
  files=$(git diff --name-only --diff-filter=d "$base" -- 'src/*.cc')
fi
[[ -n $files ]] || { echo "lint: no source changed"; exit 0; }
echo "lint: clang-tidy over $(wc -l <<<"$files") files"
# What it says about other people's headers ("N warnings generated") is on stderr.
# clang cannot read the headers that GCC precompiles, and needs to know how each file is compiled alone, so it gets a
# configuration of its own.
cmake --preset dev -B build/lint -DFLASHLM_UNITY=OFF >build/lint.log 2>&1 || { cat build/lint.log >&2; exit 1; }
xargs -P "$(nproc)" -n 1 "$tidy" -p build/lint --quiet 2>build/tidy.log <<<"$files" || {
  grep -E '^error|error:' build/tidy.log >&2 || true
  exit 1
}
