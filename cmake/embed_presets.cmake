# Puts the text of presets/*.toml into the binary, so that it needs no files beside it.
function(flashlm_embed_presets room)
  file(GLOB presets CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/presets/*.toml)
  set(entries "")
  foreach(preset ${presets})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${preset})
    get_filename_component(name ${preset} NAME_WLE)
    file(READ ${preset} text)
    string(APPEND entries "    {\"${name}\", R\"PRESET(${text})PRESET\"},\n")
  endforeach()
  set(generated ${PROJECT_BINARY_DIR}/generated/presets.cc)
  file(CONFIGURE OUTPUT ${generated} CONTENT
"// Generated from presets/*.toml by cmake/embed_presets.cmake.
#include \"models/presets.h\"

namespace flashlm {

const std::vector<Preset>& Presets() {
  static const std::vector<Preset> presets = {
@entries@  };
  return presets;
}

}  // namespace flashlm
" @ONLY)
  target_sources(flashlm_${room} PRIVATE ${generated})
endfunction()
