# Debian packages by `cpack`: the library, the files to compile against it, and the tools. They are
# installed under /usr, which is the prefix of the preset `release`.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The Segue authors <segue@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL library development tools)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")

set(soname libsegue${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${soname})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
file(WRITE ${PROJECT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/triggers)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "balanced CNN segments for several Edge TPUs, shared library
 Segue cuts a quantized CNN that is too big for one Google Coral Edge TPU
 into balanced segments for several, and runs them as a pipeline.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libsegue-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# The static library needs these, and pkg-config reads their files even for the shared one.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${soname} (= ${PROJECT_VERSION}), libfmt-dev, libssl-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "balanced CNN segments for several Edge TPUs, development files
 Headers, static library, CMake package and pkg-config file.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME segue)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION science)
# The library's package contains the program in which an Edge TPU runs.
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "${soname} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_TOOLS_PACKAGE_RECOMMENDS "libedgetpu1-std | libedgetpu1-max")
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "balanced CNN segments for several Edge TPUs, command line
 Plans, cuts, verifies, simulates and runs segments of a .tflite model.")

foreach(package IN ITEMS ${soname} libsegue-dev segue)
  set(component_${soname} library)
  set(component_libsegue-dev development)
  set(component_segue tools)
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/copyright ${PROJECT_BINARY_DIR}/manual/changelog.gz
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component_${package}})
endforeach()
include(CPack)
