// Expectations about errors.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "segue/error.h"

namespace segue::testing {

/// Expects an Error of this code whose message contains every given part.
template <typename Function>
void expect_error(ErrorCode code, const Function& call,
                  std::initializer_list<std::string> parts = {}) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string& part : parts) EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    return;
  }
  ADD_FAILURE() << "no error was thrown";
}

}  // namespace segue::testing
