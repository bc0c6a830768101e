#include "base/regex.h"

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(Regex, TellsErrorsInGosWords) {
  const std::pair<const char*, const char*> cases[] = {
      {"a(b", "missing closing ): `a(b`"},
      {"a)b", "unexpected ): `a)b`"},
      {"[a", "missing closing ]: `[a`"},
      {"[z-a]", "invalid character class range: `z-a`"},
      {"*", "missing argument to repetition operator: `*`"},
      {"a**", "invalid nested repetition operator: `**`"},
      {"a{2000}", "invalid repeat count: `{2000}`"},
      {"\\y", "invalid escape sequence: `\\y`"},
      {"a\\", "trailing backslash at end of expression: ``"},
      {"(?=a)", "invalid or unsupported Perl syntax: `(?=`"},
      {"\xff", "invalid UTF-8: `"},
  };
  for (const auto& [pattern, what] : cases) {
    for (const Status& status :
         {Regex::compile(pattern).status(), SearchRegex::compile(pattern).status()}) {
      EXPECT_TRUE(status.message().starts_with("error parsing regexp: " + std::string(what)))
          << pattern << ": " << status.message();
    }
  }
}

}  // namespace
}  // namespace tarsier
