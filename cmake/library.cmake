# flashlm::flashlm: every room so far in one archive. Rooms register what they have (models, terms, sources) in static
# initialisers, so whoever links the archive takes all of it: a linker would drop what nobody calls by name.
get_property(rooms GLOBAL PROPERTY FLASHLM_ROOMS)
add_library(flashlm_archive STATIC)
foreach(room ${rooms})
  target_sources(flashlm_archive PRIVATE $<TARGET_OBJECTS:flashlm_${room}>)
endforeach()
set_target_properties(flashlm_archive PROPERTIES OUTPUT_NAME flashlm)
set(FLASHLM_LIBRARY_NEEDS fmt::fmt OpenSSL::Crypto CURL::libcurl OpenMP::OpenMP_CXX
                          PkgConfig::FLASHLM_HWY PkgConfig::FLASHLM_TOMLPLUSPLUS)
if(FLASHLM_HAS_LINK_GRAMMAR)
  list(APPEND FLASHLM_LIBRARY_NEEDS PkgConfig::FLASHLM_LINKGRAMMAR)
endif()
target_link_libraries(flashlm_archive PRIVATE ${FLASHLM_LIBRARY_NEEDS} ${FLASHLM_DNNL_LIBRARY})

add_library(flashlm_flashlm INTERFACE)
add_library(flashlm::flashlm ALIAS flashlm_flashlm)
target_link_libraries(flashlm_flashlm INTERFACE $<LINK_LIBRARY:WHOLE_ARCHIVE,flashlm_archive>)
target_include_directories(flashlm_flashlm INTERFACE ${FLASHLM_GENERATED}/include)
