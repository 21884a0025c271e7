# No target of ours has a name that a project beside us could want: they are flashlm_NAME, for others flashlm::NAME.
# Among ourselves NAME is enough: this turns such names into targets and leaves the rest, like fmt::fmt, as it is.
function(flashlm_targets out)
  set(targets "")
  foreach(name ${ARGN})
    if(TARGET flashlm_${name})
      list(APPEND targets flashlm::${name})
    else()
      list(APPEND targets ${name})
    endif()
  endforeach()
  set(${out} "${targets}" PARENT_SCOPE)
endfunction()

# flashlm_room(NAME [OBJECT] [JSON] [CONTROL] [APART] LINKS ...): every .cc below src/NAME becomes the library flashlm_NAME.
# OBJECT is for rooms that register things in static initialisers, which a linker would drop from an
# archive: an executable names such a room itself (a test), or has all of them (flashlm_program).
# JSON and CONTROL shorten the build, half of which is other people's headers. JSON: most files of this room include
# base/json.h, so it shares a set of precompiled headers (FLASHLM_PRECOMPILE). CONTROL: the room only says what is
# computed elsewhere, so a release optimises it less. APART: its files are compiled one by one; those of other rooms by
# the ten (FLASHLM_UNITY), so that no two of them may have a name of their own in common. Kernels are compiled once for
# each instruction set, and all probes have a Form.
# The global properties FLASHLM_ROOMS and FLASHLM_OBJECT_ROOMS list the rooms that have code and those that register.
function(flashlm_room name)
  cmake_parse_arguments(ROOM "OBJECT;JSON;CONTROL;APART" "" "LINKS" ${ARGN})
  flashlm_targets(links ${ROOM_LINKS})
  set(target flashlm_${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cc)
  list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/src/cli/main.cc ${PROJECT_SOURCE_DIR}/src/api/library.cc
       ${PROJECT_SOURCE_DIR}/src/cluster/mpi/mpi_transport.cc)
  if(NOT sources)
    add_library(${target} INTERFACE)
    add_library(flashlm::${name} ALIAS ${target})
    target_link_libraries(${target} INTERFACE ${links})
    return()
  endif()
  if(ROOM_OBJECT)
    add_library(${target} OBJECT ${sources})
    set_property(GLOBAL APPEND PROPERTY FLASHLM_OBJECT_ROOMS ${name})
  else()
    add_library(${target} STATIC ${sources})
  endif()
  add_library(flashlm::${name} ALIAS ${target})
  set_property(GLOBAL APPEND PROPERTY FLASHLM_ROOMS ${name})
  # One set of objects is in the program and in the library, which shows nothing but its API (include/flashlm/export.h).
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                                             VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${target} PUBLIC ${links})
  if(FLASHLM_UNITY AND NOT ROOM_APART)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 10)
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)  # which takes an included file for a header
  endif()
  if(ROOM_CONTROL)
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
  # A compiler takes precompiled headers only where it optimises as much as when it made them: one set for the rooms of
  # each kind, made by the lowest of them.
  if(ROOM_CONTROL)
    set(lowest train)
  else()
    set(lowest base)
  endif()
  if(FLASHLM_PRECOMPILE AND name STREQUAL lowest)
    target_precompile_headers(${target} PRIVATE <algorithm> <filesystem> <functional> <memory> <optional> <string> <vector>
                              <fmt/format.h> <nlohmann/json.hpp>)
  elseif(FLASHLM_PRECOMPILE AND ROOM_JSON)
    target_precompile_headers(${target} REUSE_FROM flashlm_${lowest})
  endif()
endfunction()

# flashlm_program(TARGET NAME...): links rooms and everything that registers itself.
function(flashlm_program target)
  get_property(registering GLOBAL PROPERTY FLASHLM_OBJECT_ROOMS)
  flashlm_targets(links ${ARGN} ${registering})
  target_link_libraries(${target} PRIVATE ${links})
endfunction()

# What reaches MPI, where there is one: a library of its own beside the program, which loads it when a launcher has started
# several processes (cluster/launch.h).
function(flashlm_mpi_library)
  if(NOT FLASHLM_HAS_MPI)
    return()
  endif()
  add_library(flashlm_mpi MODULE ${PROJECT_SOURCE_DIR}/src/cluster/mpi/mpi_transport.cc)
  target_include_directories(flashlm_mpi PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(flashlm_mpi PRIVATE MPI::MPI_C)
  set_target_properties(flashlm_mpi PROPERTIES CXX_VISIBILITY_PRESET hidden
                                               LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  add_dependencies(flashlm flashlm_mpi)
endfunction()
