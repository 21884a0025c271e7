# cmake --install BUILD --prefix P: the program, the library, its headers, and how CMake and pkg-config find them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(FLASHLM_PROGRAM)
  install(TARGETS flashlm RUNTIME)
  if(FLASHLM_HAS_MPI)
    install(TARGETS flashlm_mpi LIBRARY DESTINATION lib/flashlm)
  endif()
endif()
install(TARGETS flashlm_flashlm LIBRARY)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/flashlm ${FLASHLM_GENERATED}/include/flashlm TYPE INCLUDE
        PATTERN *.in EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE TYPE DOC)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/flashlm)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/flashlm-config.cmake.in
  ${PROJECT_BINARY_DIR}/generated/flashlm-config.cmake INSTALL_DESTINATION ${package}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
# Before 1.0 a minor version may change anything.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/flashlm-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/generated/flashlm-config.cmake
              ${PROJECT_BINARY_DIR}/generated/flashlm-config-version.cmake DESTINATION ${package})

file(RELATIVE_PATH to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)  # the installed folder may be moved
configure_file(${PROJECT_SOURCE_DIR}/cmake/flashlm.pc.in ${PROJECT_BINARY_DIR}/generated/flashlm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/generated/flashlm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
