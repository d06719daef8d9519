extern "C" int stand_in_libusb() { return 0; }
