#!/usr/bin/env bash
# Installs what the build needs and this machine lacks, with apt. Does nothing, fast and without network or root, when all
# is there. Usage: tools/setup.sh [bench|browser|dev|fuzz|grammar|mpi|python]...
#   bench   Google Benchmark too, for -DFLASHLM_BENCH=ON
#   browser a headless Chromium too, unless there is one, for the tests of the pages (Debian has it; Ubuntu does not)
#   grammar link-grammar too, which builds use if it is there (FLASHLM_LINK_GRAMMAR)
#   dev     clang-format and clang-tidy too, for tools/lint.sh
#   fuzz    clang with its fuzzer, for the preset fuzz
#   mpi     Open MPI too, which builds use if it is there (FLASHLM_MPI), for training on several machines
#   python  pytest, NumPy and matplotlib too, unless python3 has them, for the tests of the Python package and its notebook
set -euo pipefail
cd "$(dirname "$0")/.."
readonly min_cmake=3.25 log=build/setup.log

# Programs count wherever they come from; libraries must be the distribution's packages.
programs=(g++ cmake ninja:ninja-build pkg-config git python3:python3-minimal)
libraries=(libdnnl-dev libhwy-dev libfmt-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libpcre2-dev
           libcurl4-openssl-dev libssl-dev libmicrohttpd-dev libjs-chart.js libgtest-dev ca-certificates)
for more in "$@"; do
  case "$more" in
    bench) libraries+=(libbenchmark-dev) ;;
    browser)
      found=
      for name in chromium-headless-shell chromium chromium-browser google-chrome; do  # as tests/find_browser.h
        command -v "$name" >/dev/null && found=1
      done
      if [[ -z $found ]]; then
        if ! grep -qx 'ID=debian' /etc/os-release 2>/dev/null; then
          echo "setup: no Chromium here, and only of Debian is known which package has one without a desktop" >&2
          exit 1
        fi
        libraries+=(chromium-headless-shell fonts-dejavu-core)
      fi
      ;;
    grammar) libraries+=(liblink-grammar-dev link-grammar-dictionaries-en) ;;
    dev) programs+=(clang-format clang-tidy) libraries+=(libomp-dev) ;;  # omp.h as clang reads it
    fuzz) programs+=(clang++:clang) libraries+=(libomp-dev libclang-rt-14-dev) ;;  # Debian 12's, as tools/lint.sh
    mpi) libraries+=(libopenmpi-dev openmpi-bin) ;;
    python)
      python3 -c 'import matplotlib, numpy, pytest' 2>/dev/null ||
        libraries+=(python3-matplotlib python3-numpy python3-pytest)
      ;;
    *) echo "setup: unknown argument '$more' (usage: tools/setup.sh [bench|browser|dev|fuzz|grammar|mpi|python]...)" >&2; exit 2 ;;
  esac
done

missing=()
for entry in "${programs[@]}"; do
  command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
done
if command -v dpkg-query >/dev/null; then
  installed=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' "${libraries[@]}" 2>/dev/null || true)"
  for package in "${libraries[@]}"; do
    [[ $installed == *" installed:$package "* ]] || missing+=("$package")
  done
elif ((${#missing[@]} == 0)); then
  echo "setup: no dpkg here, so the libraries are not checked; CMake names what is missing (Debian's names: ${libraries[*]})"
fi

if ((${#missing[@]} > 0)); then
  as_root=()
  if ! command -v apt-get >/dev/null; then
    echo "setup: no apt-get here; please install what Debian calls: ${missing[*]}" >&2
    exit 1
  elif ((EUID != 0)); then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
      as_root=(sudo)
    else
      echo "setup: neither root nor sudo; please have installed: apt-get install ${missing[*]}" >&2
      exit 1
    fi
  fi
  apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
  install=("${apt[@]}" install --no-install-recommends --no-remove "${missing[@]}")
  mkdir -p build
  echo "setup: installing ${missing[*]}"
  # The package lists are fetched only if the first attempt fails: they may be there and fresh.
  if ! "${install[@]}" >"$log" 2>&1 && ! { "${apt[@]}" update && "${install[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "setup: could not install ${missing[*]} (everything apt said: $log)" >&2
    exit 1
  fi
fi

have_cmake=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
if [[ $(printf '%s\n' "$min_cmake" "$have_cmake" | sort -V | head -n 1) != "$min_cmake" ]]; then
  echo "setup: cmake $have_cmake is too old, $min_cmake or newer is needed (Debian 12 has it; elsewhere: pip install cmake)" >&2
  exit 1
fi
