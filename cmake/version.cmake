# The version is the project's (CMakeLists.txt), the revision what git says when something is built.
set(FLASHLM_GENERATED ${PROJECT_BINARY_DIR}/generated)
configure_file(${PROJECT_SOURCE_DIR}/include/flashlm/version.h.in ${FLASHLM_GENERATED}/include/flashlm/version.h @ONLY)

# Compiles the functions of flashlm/version.h into a room.
function(flashlm_version room)
  set(source ${FLASHLM_GENERATED}/version.cc)
  add_custom_target(flashlm_revision
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUT=${source} -P ${PROJECT_SOURCE_DIR}/cmake/revision.cmake
    BYPRODUCTS ${source} COMMENT "" VERBATIM)
  add_dependencies(flashlm_${room} flashlm_revision)
  target_sources(flashlm_${room} PRIVATE ${source})
  target_include_directories(flashlm_${room} PUBLIC ${FLASHLM_GENERATED}/include ${PROJECT_SOURCE_DIR}/include)
endfunction()
