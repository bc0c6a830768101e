#include "base/unicode_case.h"

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(UnicodeCase, MapsOneCodePointToOne) {
  EXPECT_EQ(to_lower_case("Hello ÄÖÜ ΣΩ ЖЯ Ⅷ 𐐀"), "hello äöü σω жя ⅷ 𐐨");
  EXPECT_EQ(to_upper_case("Hello äöü ςω жя ⅷ 𐐨"), "HELLO ÄÖÜ ΣΩ ЖЯ Ⅷ 𐐀");
  EXPECT_EQ(to_upper_case("ß ﬁ"), "ß ﬁ");
  EXPECT_EQ(to_lower_case("İ ǅ"), "i ǆ");
  EXPECT_EQ(to_upper_case("ÿ ǆ āă ōŏ"), "Ÿ Ǆ ĀĂ ŌŎ");
}

TEST(UnicodeCase, KeepsWhatIsNotUtf8) {
  EXPECT_EQ(to_upper_case("a\xff\xc3"), "A\xff\xc3");
  EXPECT_EQ(to_lower_case(""), "");
}

}  // namespace
}  // namespace tarsier
