#!/usr/bin/env bash
# Builds and runs a program outside of this tree. Usage: package_test.sh InsideAnotherProject|FoundByCMake|FoundByPkgConfig
# Environment: SOURCE (this tree), BUILD (where it was built), CMAKE, CXX.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "package: $1" >&2; exit 1; }

# The names of models, terms and the like are in the program: nothing that registers itself was dropped on the way.
expect_whole_flashlm() {
  "$1" | grep -q "^compiled for FlashLM \([0-9.]*\), linked with \1" || fail "$1 does not say its version"
  local name
  for name in $(sed -n 's/^FLASHLM_REGISTER_[A-Z]*("\([^"]*\)".*/\1/p' "$SOURCE"/src/*/*.cc); do
    grep -qF "$name" "$1" || fail "'$name' was dropped"
  done
}

install_to() { "$CMAKE" --install "$BUILD" --prefix "$1" >"$work/install.log" || { cat "$work/install.log"; exit 1; }; }

case $1 in
  InsideAnotherProject)
    # One that has targets with names like our rooms', and settings that FlashLM must leave alone.
    mkdir "$work/project"
    cp "$SOURCE/examples/out_of_tree/main.cc" "$work/project"
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
    "$CMAKE" -G Ninja -S "$work/project" -B "$work/build" -DSOURCE="$SOURCE" -DCMAKE_CXX_COMPILER="$CXX" \
      -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON \
      >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    for setting in "CMAKE_BUILD_TYPE=''" "CMAKE_CXX_FLAGS=''" "CMAKE_CXX_FLAGS_RELEASE='-O3 -DNDEBUG'" \
      "CMAKE_CXX_STANDARD=''" "options=''"; do
      grep -qxF -- "$setting" "$work/log" || { cat "$work/log"; fail "the other project should have $setting"; }
    done
    "$CMAKE" --build "$work/build" --target hello >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    "$work/build/hello" | grep -q '^compiled for FlashLM' || fail "hello says nothing"
    ;;
  FoundByCMake)
    install_to "$work/prefix"
    "$CMAKE" -G Ninja -S "$SOURCE/examples/out_of_tree" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
      -DCMAKE_CXX_COMPILER="$CXX" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    "$CMAKE" --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    expect_whole_flashlm "$work/build/hello"
    "$work/prefix/bin/flashlm" --version | grep -q '^flashlm [0-9.]*' || fail "the program was not installed"
    ;;
  FoundByPkgConfig)
    install_to "$work/prefix"
    mv "$work/prefix" "$work/moved"  # it may be
    pc=$(dirname "$(find "$work/moved" -name flashlm.pc)")
    flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs flashlm)
    read -ra flags <<<"$flags"
    "$CXX" "$SOURCE/examples/out_of_tree/main.cc" -o "$work/hello" "${flags[@]}"
    expect_whole_flashlm "$work/hello"
    ;;
  *) fail "unknown way '$1'" ;;
esac
