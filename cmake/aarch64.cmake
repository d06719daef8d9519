# Cross-compiles for 64-bit Arm with Debian's compiler and arm64 libraries. The preset `arm64` and
# the wheel use it. scripts/setup --arm64 installs what it needs.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
# Runs the built programs that a build starts: for the manual and the list of tests.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
# CMake does not derive these from the target.
set(CMAKE_INSTALL_LIBDIR lib/aarch64-linux-gnu CACHE PATH "Folder of libraries below the prefix")
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
# Otherwise pkg-config would return the libraries of this machine.
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
