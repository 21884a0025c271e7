# ENTRIES: the TOML files of FOLDER as C++ initialisers {name, text}.
function(flashlm_toml_entries entries folder)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.toml)
  set(lines "")
  foreach(file ${files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WLE)
    file(READ ${file} text)
    string(APPEND lines "    {\"${name}\", R\"TOML(${text})TOML\"},\n")
  endforeach()
  set(${entries} "${lines}" PARENT_SCOPE)
endfunction()

# Puts the text of presets/*.toml and recipes/*.toml into the binary, so that it needs no files beside it.
function(flashlm_embed_presets room)
  flashlm_toml_entries(presets presets)
  flashlm_toml_entries(recipes recipes)
  set(generated ${PROJECT_BINARY_DIR}/generated/presets.cc)
  file(CONFIGURE OUTPUT ${generated} CONTENT
"// Generated from presets/*.toml and recipes/*.toml by cmake/embed_presets.cmake.
#include \"models/presets.h\"

namespace flashlm {

const std::vector<Preset>& Presets() {
  static const std::vector<Preset> presets = {
@presets@  };
  return presets;
}

const std::vector<Recipe>& Recipes() {
  static const std::vector<Recipe> recipes = {
@recipes@  };
  return recipes;
}

}  // namespace flashlm
" @ONLY)
  target_sources(flashlm_${room} PRIVATE ${generated})
endfunction()
