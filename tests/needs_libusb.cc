// A libedgetpu whose libusb is missing. It links to the library of stand_in_libusb.cc, under the
// name of a library that no machine has.
extern "C" int stand_in_libusb();
extern "C" const char* edgetpu_version() { return stand_in_libusb() == 0 ? "" : nullptr; }
