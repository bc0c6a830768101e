#include "base/percent_encoding.h"

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(PercentEncoding, EscapesAllButWhatIsPlain) {
  EXPECT_EQ(percent_encoded("a-Z_0.~"), "a-Z_0.~");
  EXPECT_EQ(percent_encoded("a b/\xC3\xA4{\""), "a%20b%2F%C3%A4%7B%22");
  EXPECT_EQ(percent_encoded("/a b", "/"), "/a%20b");
}

}  // namespace
}  // namespace tarsier
