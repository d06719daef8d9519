# Embeds texts as C++ constants with cmake/NAME_assets.cc.in, where NAME is the last part of FOLDER.
# In that file, @name_ext@ is the content of FOLDER/name.ext, and @NAME_texts@ contains a pair of
# name and content for each FOLDER/texts/name.md.
#   embed(FOLDER FILES name.ext… [TEXTS name…])
function(embed folder)
  cmake_parse_arguments(PARSE_ARGV 1 asset "" "" "FILES;TEXTS")
  foreach(file IN LISTS asset_FILES)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/${file})
    string(REPLACE "." "_" variable ${file})
    file(READ ${folder}/${file} ${variable})
  endforeach()
  set(texts "")
  foreach(name IN LISTS asset_TEXTS)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/texts/${name}.md)
    file(READ ${folder}/texts/${name}.md text)
    string(APPEND texts
      "std::pair<std::string_view, std::string_view>{\"${name}\", R\"asset(${text})asset\"},\n")
  endforeach()
  cmake_path(GET folder FILENAME name)
  set(${name}_texts "${texts}")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}_assets.cc.in ${name}_assets.cc @ONLY)
endfunction()
