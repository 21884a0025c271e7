# flashlm::flashlm: libflashlm, all rooms but cli as one shared library that shows nothing but include/flashlm. Shared, and
# not an archive as well: what registers itself (models, terms, sources) would be dropped from an archive by whoever links
# it, who would also need oneDNN's and everybody else's development files.
get_property(rooms GLOBAL PROPERTY FLASHLM_ROOMS)
add_library(flashlm_flashlm SHARED ${PROJECT_SOURCE_DIR}/src/api/library.cc)
add_library(flashlm::flashlm ALIAS flashlm_flashlm)
foreach(room ${rooms})
  target_sources(flashlm_flashlm PRIVATE $<TARGET_OBJECTS:flashlm_${room}>)
endforeach()
set(symbols ${PROJECT_SOURCE_DIR}/cmake/libflashlm.map)
set_target_properties(flashlm_flashlm PROPERTIES
  OUTPUT_NAME flashlm
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}  # before 1.0 a minor version may change anything
  CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON
  LINK_DEPENDS ${symbols})
target_link_options(flashlm_flashlm PRIVATE -Wl,--version-script=${symbols})
if(NOT FLASHLM_SANITIZE)  # whose symbols the program brings
  target_link_options(flashlm_flashlm PRIVATE -Wl,-z,defs)
endif()
set(needs fmt::fmt OpenSSL::Crypto CURL::libcurl OpenMP::OpenMP_CXX PkgConfig::FLASHLM_HWY
          PkgConfig::FLASHLM_TOMLPLUSPLUS ${FLASHLM_DNNL_LIBRARY})
if(FLASHLM_HAS_LINK_GRAMMAR)
  list(APPEND needs PkgConfig::FLASHLM_LINKGRAMMAR)
endif()
target_link_libraries(flashlm_flashlm PRIVATE ${needs})
target_include_directories(flashlm_flashlm PRIVATE ${PROJECT_SOURCE_DIR}/src
                           PUBLIC ${PROJECT_SOURCE_DIR}/include ${FLASHLM_GENERATED}/include)
