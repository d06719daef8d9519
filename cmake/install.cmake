# Defines what `cmake --install` installs, in three components: library, development, tools.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/segue)
install(TARGETS segue_shared EXPORT segue-shared
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)
install(TARGETS segue_static EXPORT segue-static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(TARGETS segue_zoo EXPORT segue-zoo ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(TARGETS segue_headers EXPORT segue-headers
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
# A pipeline runs each Edge TPU in this program, which src/runtime/edgetpu/device_process.cc looks
# for there.
install(TARGETS segue_device RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/segue COMPONENT library)
install(TARGETS segue_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)

# For find_package(segue).
foreach(kind IN ITEMS headers static shared zoo)
  install(EXPORT segue-${kind} NAMESPACE segue:: DESTINATION ${package_dir} COMPONENT development)
endforeach()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/segue-config.cmake.in segue-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(segue-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/segue-config.cmake ${PROJECT_BINARY_DIR}/segue-config-version.cmake
  DESTINATION ${package_dir} COMPONENT development)

# For pkg-config, also if the tree is moved later. Absolute folders are not changed.
set(pc_prefix ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  set(pc_prefix "\${pcfiledir}/${pc_to_prefix}")
endif()
cmake_path(APPEND pc_libdir "\${prefix}" "${CMAKE_INSTALL_LIBDIR}")
cmake_path(APPEND pc_includedir "\${prefix}" "${CMAKE_INSTALL_INCLUDEDIR}")
foreach(package IN ITEMS segue segue-zoo)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${package}.pc.in ${package}.pc @ONLY)
endforeach()
install(FILES ${PROJECT_BINARY_DIR}/segue.pc ${PROJECT_BINARY_DIR}/segue-zoo.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# The program writes the man page and the shells' completions.
set(manual ${PROJECT_BINARY_DIR}/manual)
file(MAKE_DIRECTORY ${manual})
find_program(SEGUE_GZIP gzip REQUIRED)
add_custom_command(OUTPUT ${manual}/segue.1 ${manual}/segue.bash ${manual}/_segue ${manual}/segue.fish
  COMMAND segue_cli manual > ${manual}/segue.1
  COMMAND segue_cli completion bash > ${manual}/segue.bash
  COMMAND segue_cli completion zsh > ${manual}/_segue
  COMMAND segue_cli completion fish > ${manual}/segue.fish
  DEPENDS segue_cli VERBATIM)
add_custom_command(OUTPUT ${manual}/segue.1.gz ${manual}/changelog.gz
  COMMAND ${SEGUE_GZIP} -9nc ${manual}/segue.1 > ${manual}/segue.1.gz
  COMMAND ${SEGUE_GZIP} -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md > ${manual}/changelog.gz
  DEPENDS ${manual}/segue.1 ${PROJECT_SOURCE_DIR}/CHANGELOG.md VERBATIM)
add_custom_target(segue_manual ALL DEPENDS ${manual}/segue.1.gz)
install(FILES ${manual}/segue.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT tools)
install(FILES ${manual}/segue.bash RENAME segue
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT tools)
# The prefix is known at installation. On Debian, site-functions below /usr belong to the
# administrator.
install(CODE [[
  set(zsh_functions site-functions)
  if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    set(zsh_functions vendor-completions)
  endif()
]] COMPONENT tools)
install(FILES ${manual}/_segue DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/\${zsh_functions}" COMPONENT tools)
install(FILES ${manual}/segue.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT tools)

# The runtime that `verify` and `run` load is installed if it exists.
if(EXISTS ${SEGUE_TFLITE_RUNTIME})
  install(FILES ${SEGUE_TFLITE_RUNTIME} DESTINATION ${CMAKE_INSTALL_LIBDIR}/segue COMPONENT tools)
endif()
