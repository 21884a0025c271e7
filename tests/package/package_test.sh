#!/usr/bin/env bash
# Builds and runs programs outside of this tree. Usage: package_test.sh WAY, one of those below.
# Environment: SOURCE (this tree), BUILD (where it was built), CMAKE, CXX, CC, PYTHON. Exit code 77: skipped.
set -euo pipefail
export FLASHLM_ISA=scalar  # where bf16 is faster is measured, and may come out otherwise in another process
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "package: $1" >&2; exit 1; }
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

# Into $1; what it needs of the library is nothing but the library.
install_to() {
  quietly "$CMAKE" --install "$BUILD" --prefix "$1"
  prefix=$1 library=$(find "$1" -name 'libflashlm.so.*.*.*')
  [[ -n $library ]] || fail "the library was not installed"
  [[ -z $(find "$1" -name '*.a' -o -name '*.in') ]] || fail "more was installed than is meant to be"
}

# The names of models, terms and the like are in the library: nothing that registers itself was dropped on the way. Of
# symbols nothing shows but the API.
expect_whole_library() {
  local name
  for name in $(sed -n 's/^FLASHLM_REGISTER_[A-Z]*("\([^"]*\)".*/\1/p' "$SOURCE"/src/*/*.cc); do
    grep -qF "$name" "$library" || fail "'$name' was dropped"
  done
  local shown
  shown=$(nm -DC --defined-only "$library" | cut -d' ' -f3-)
  grep -q '^flashlm_model_load' <<<"$shown" || fail "the C API is not there"
  grep -q '^flashlm::api::Model::Load' <<<"$shown" || fail "the C++ API is not there"
  ! grep -vE '^(flashlm_[a-z_]+|((vtable|typeinfo|typeinfo name) for )?flashlm::(api::|Version\(|Revision\().*)$' <<<"$shown" ||
    fail "these symbols should be hidden"
}

# A model that has seen two steps.
make_model() {
  quietly "$prefix/bin/flashlm" data prepare --input synthetic --out "$work/data" --vocab 512 --set bytes=100000
  train_into "$work/run" "$prefix/bin/flashlm"
}
# With the program that $2... are.
train_into() {
  quietly "${@:2}" train --preset gpt-baseline --data "$work/data" --out "$1" --steps 2 \
    --set model.d_model=32 --set model.n_layers=1 --set train.sequence_length=64 --set train.micro_batch=2 \
    --set train.accumulate=2 --set train.eval_documents=2
}

# Programs $@ all write what the program flashlm writes.
expect_stories() {
  local prompt="Once upon a time" program
  "$prefix/bin/flashlm" generate --quiet --model "$work/run" -p "$prompt" -n 60 --seed 7 >"$work/expected"
  for program in "$@"; do
    "$program" "$work/run" "$prompt" >"$work/written" || fail "$program failed"
    cmp "$work/expected" "$work/written" || fail "$program writes something else"
    ! "$program" "$work/nowhere" "$prompt" >"$work/written" 2>"$work/error" || fail "$program needs no model"
    grep -q nowhere "$work/error" || fail "$program does not say what is missing"
  done
}

case $1 in
  InsideAnotherProject)
    # One that has targets with names like our rooms', and settings that FlashLM must leave alone.
    mkdir "$work/project"
    cat >"$work/project/main.cc" <<'TEXT'
#include <flashlm/version.h>
#include <cstdio>
int main() { std::printf("compiled for FlashLM %s, linked with %s\n", FLASHLM_VERSION, flashlm::Version()); }
TEXT
    echo 'int Text() { return 1; }' >"$work/project/text.cc"
    cat >"$work/project/CMakeLists.txt" <<'TEXT'
cmake_minimum_required(VERSION 3.25)
project(other LANGUAGES CXX)
foreach(name text base data train cli hwy dnnl curl)
  add_library(${name} text.cc)
endforeach()
add_subdirectory(${SOURCE} flashlm EXCLUDE_FROM_ALL)
add_executable(hello main.cc)
target_link_libraries(hello PRIVATE flashlm::base text)
get_directory_property(options COMPILE_OPTIONS)
foreach(setting CMAKE_BUILD_TYPE CMAKE_CXX_FLAGS CMAKE_CXX_FLAGS_RELEASE CMAKE_CXX_STANDARD options)
  message("${setting}='${${setting}}'")
endforeach()
foreach(target flashlm test_base flashlm_cli)
  if(TARGET ${target})
    message(FATAL_ERROR "${target} was not asked for")
  endif()
endforeach()
if(NOT TARGET flashlm::flashlm)
  message(FATAL_ERROR "there is no flashlm::flashlm")
endif()
TEXT
    quietly "$CMAKE" -G Ninja -S "$work/project" -B "$work/build" -DSOURCE="$SOURCE" -DCMAKE_CXX_COMPILER="$CXX" \
      -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON
    for setting in "CMAKE_BUILD_TYPE=''" "CMAKE_CXX_FLAGS=''" "CMAKE_CXX_FLAGS_RELEASE='-O3 -DNDEBUG'" \
      "CMAKE_CXX_STANDARD=''" "options=''"; do
      grep -qxF -- "$setting" "$work/log" || { cat "$work/log"; fail "the other project should have $setting"; }
    done
    quietly "$CMAKE" --build "$work/build" --target hello
    "$work/build/hello" | grep -q '^compiled for FlashLM \([0-9.]*\), linked with \1$' || fail "hello says nothing"
    ;;
  FoundByCMake)
    install_to "$work/prefix"
    expect_whole_library
    quietly "$CMAKE" -G Ninja -S "$SOURCE/examples/out_of_tree" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
      -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_C_COMPILER="$CC"
    quietly "$CMAKE" --build "$work/build"
    make_model
    expect_stories "$work/build/story" "$work/build/story_c"
    "$work/prefix/bin/flashlm" --version | grep -q '^flashlm [0-9.]*' || fail "the program was not installed"
    ;;
  FoundByPkgConfig)
    install_to "$work/prefix"
    mv "$work/prefix" "$work/moved"  # it may be
    prefix=$work/moved
    pc=$(dirname "$(find "$prefix" -name flashlm.pc)")
    export LD_LIBRARY_PATH=${pc%/pkgconfig}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs flashlm)
    read -ra flags <<<"$flags"
    "$CXX" -std=c++20 -Wall -Wextra -Werror "$SOURCE/examples/out_of_tree/story.cc" -o "$work/story" "${flags[@]}"
    "$CC" -std=c99 -pedantic -Wall -Wextra -Werror "$SOURCE/examples/out_of_tree/story.c" -o "$work/story_c" "${flags[@]}"
    make_model
    expect_stories "$work/story" "$work/story_c"
    ;;
  InstalledByPip)
    "$PYTHON" -m pip --version >"$work/log" 2>&1 || { echo "skipped: $PYTHON has no pip"; exit 77; }
    install_to "$work/prefix"
    make_model
    # Offline, and with nothing but what is here.
    FLASHLM_BUILD=$BUILD quietly "$PYTHON" -m pip install --no-index --no-deps --no-cache-dir --target "$work/site" "$SOURCE"
    export PYTHONPATH=$work/site PYTHONDONTWRITEBYTECODE=1
    cat >"$work/story" <<TEXT
#!/usr/bin/env bash
cd / && exec "$PYTHON" "$SOURCE/examples/out_of_tree/story.py" "\$@"
TEXT
    chmod +x "$work/story"
    expect_stories "$work/story"
    (cd / && "$PYTHON" -m flashlm --version) | grep -q '^flashlm [0-9.]*' || fail "python -m flashlm is not the program"
    if [[ -e $BUILD/libflashlm_mpi.so ]] && command -v mpirun >"$work/log"; then
      export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
      train_into "$work/shared" mpirun --oversubscribe -n 2 "$PYTHON" -m flashlm
      cmp "$work/run/latest/model.safetensors" "$work/shared/latest/model.safetensors" || fail "two ranks train otherwise"
      grep -q '"ranks": 2' "$work/shared/results.json" || fail "the wheel's program is no rank"
    fi
    ;;
  *) fail "unknown way '$1'" ;;
esac
