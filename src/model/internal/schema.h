// Includes the code generated from schema/tflite.fbs, without compiler warnings about it.
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#include "segue_schema/tflite_generated.h"
#pragma GCC diagnostic pop
