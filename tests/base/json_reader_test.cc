#include "base/json_reader.h"

#include <gtest/gtest.h>

namespace tarsier {
namespace {

TEST(JsonReader, ReadsEveryKindOfValue) {
  const JsonValue json =
      parse_json(R"( {"n":null,"t":true,"i":-7,"u":18446744073709551615,"d":1.5e3,
                      "s":"a\"\n\u00e9\ud83d\ude00","a":[1,[],{}],"t":false} )")
          .value();
  EXPECT_TRUE(json.find("n")->is_null());
  EXPECT_EQ(json.find("i")->as_int64().value(), -7);
  EXPECT_EQ(json.find("u")->as_uint64().value(), 18446744073709551615u);
  EXPECT_EQ(json.find("d")->as_double().value(), 1500.0);
  EXPECT_EQ(json.find("s")->as_string().value(), "a\"\né😀");
  EXPECT_EQ(json.find("a")->items().size(), 3u);
  EXPECT_FALSE(json.find("t")->as_bool().value());  // The last of two members counts.
  EXPECT_EQ(json.find("missing"), nullptr);
  EXPECT_EQ(json.keys().front(), "n");
}

TEST(JsonReader, RefusesWhatIsNotJson) {
  for (const char* bad :
       {"",         " ",        "{",   "[1,]",  "{\"a\":1,}", "{\"a\"}", "{a:1}",   "01",
        "1.",       "1e",       "-",   "+1",    "nul",        "\"",      "\"\\x\"", "\"\\u12\"",
        "\"\x01\"", "\"\xff\"", "1 2", "[1 2]", "tru",        "\"\\",    "]"}) {
    EXPECT_EQ(parse_json(bad).status().code(), Code::kInvalid) << bad;
  }
}

TEST(JsonReader, IsStrictAboutTypesAndRanges) {
  EXPECT_FALSE(parse_json("1.0").value().as_int64().ok());
  EXPECT_FALSE(parse_json("9223372036854775808").value().as_int64().ok());
  EXPECT_FALSE(parse_json("-1").value().as_uint64().ok());
  EXPECT_FALSE(parse_json("\"1\"").value().as_int64().ok());
  EXPECT_EQ(parse_json("1").value().as_string().status().message(),
            "found a number, want a string");
}

TEST(JsonReader, HasLimits) {
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')).ok());
  EXPECT_EQ(parse_json(std::string(100'000, '[')).status().code(), Code::kLimit);
  EXPECT_EQ(parse_json("[1,2,3]", {.value_count_max = 3}).status().code(), Code::kLimit);
}

TEST(JsonReader, ALoneSurrogateIsReplaced) {
  EXPECT_EQ(parse_json(R"("\ud83dx\ude00")").value().as_string().value(), "\uFFFDx\uFFFD");
  EXPECT_EQ(parse_json(R"("\ud83d\u0041")").value().as_string().value(), "\uFFFDA");
}

}  // namespace
}  // namespace tarsier
