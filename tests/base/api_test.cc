#include "base/api.h"

#include <gtest/gtest.h>

#include "base/quote.h"

namespace tarsier {
namespace {

TEST(Quote, EscapesLikeGo) {
  EXPECT_EQ(quote("plain ä"), "\"plain ä\"");
  EXPECT_EQ(quote("a\"b\\c\n\t"), "\"a\\\"b\\\\c\\n\\t\"");
  EXPECT_EQ(quote(std::string_view("\x00\x7f\xff", 3)), "\"\\x00\\x7f\\xff\"");
  EXPECT_EQ(quote("\u00a0\u200b\ufeff\U000E0001 漢"), "\"\\u00a0\\u200b\\ufeff\\U000e0001 漢\"");
}

TEST(Api, WrapsDataInTheEnvelope) {
  const HttpResponse response =
      api_success([](JsonWriter& json) { json.begin_array().value("a").end_array(); });
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_EQ(response.body, R"({"status":"success","data":["a"]})");
}

TEST(Api, ListsNotesOnceAndAtMostTen) {
  ApiNotes notes;
  notes.infos = {"b", "a", "b"};
  for (int i = 0; i < 13; ++i) notes.warnings.push_back("w" + std::to_string(10 + i));
  const HttpResponse response =
      api_success([](JsonWriter& json) { json.begin_object().end_object(); }, notes);
  EXPECT_EQ(
      response.body,
      R"({"status":"success","data":{},"warnings":["w10","w11","w12","w13","w14","w15","w16",)"
      R"("w17","w18","w19","3 more warning annotations omitted"],"infos":["a","b"]})");
}

TEST(Api, NamesEveryErrorTypeWithItsStatus) {
  const std::tuple<ApiErrorType, int, const char*> cases[] = {
      {ApiErrorType::kBadData, 400, "bad_data"},   {ApiErrorType::kExecution, 422, "execution"},
      {ApiErrorType::kCanceled, 499, "canceled"},  {ApiErrorType::kTimeout, 503, "timeout"},
      {ApiErrorType::kInternal, 500, "internal"},  {ApiErrorType::kUnavailable, 500, "unavailable"},
      {ApiErrorType::kNotFound, 404, "not_found"},
  };
  for (const auto& [type, status, name] : cases) {
    const HttpResponse response = api_error(type, "say \"why\"");
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.body, std::string(R"({"status":"error","errorType":")") + name +
                                 R"(","error":"say \"why\""})");
  }
  EXPECT_EQ(api_error(timeout("late")).status, 503);
}

TEST(Api, ReadsTimes) {
  const std::pair<const char*, Timestamp> cases[] = {
      {"1700000000", {1'700'000'000'000}},
      {"1700000000.123", {1'700'000'000'123}},
      {"1700000000.1236", {1'700'000'000'124}},
      {"1.7e9", {1'700'000'000'000}},
      {"+5", {5000}},
      {"-1.5", {-1500}},
      {"2026-08-01T12:00:00Z", {1'785'585'600'000}},
      {"-292273086-05-16T16:47:06Z", kApiMinTime},
      {"292277025-08-18T07:12:54.999999999Z", kApiMaxTime},
      {"1e300", kApiMaxTime},
  };
  for (const auto& [text, expected] : cases) {
    const Result<Timestamp> got = parse_api_time(text);
    ASSERT_TRUE(got.ok()) << text;
    EXPECT_EQ(*got, expected) << text;
  }
}

TEST(Api, SaysWhichTimeItCannotRead) {
  for (const std::string text : {"", "abc", "2026-08-01T14:00:00 02:00", "nan", "1,5"}) {
    const Result<Timestamp> got = parse_api_time(text);
    ASSERT_FALSE(got.ok()) << text;
    EXPECT_EQ(got.status().message(), "cannot parse \"" + text + "\" to a valid timestamp");
  }
}

TEST(Api, ReadsDurationsAsSecondsOrWithUnits) {
  EXPECT_EQ(*parse_api_duration("15"), seconds(15));
  EXPECT_EQ(*parse_api_duration("0.5"), milliseconds(500));
  EXPECT_EQ(*parse_api_duration("1e2"), seconds(100));
  EXPECT_EQ(*parse_api_duration("-5"), seconds(-5));
  EXPECT_EQ(*parse_api_duration("1h30m"), minutes(90));
  EXPECT_EQ(parse_api_duration("1.5h").status().message(),
            "cannot parse \"1.5h\" to a valid duration");
  EXPECT_EQ(parse_api_duration("1e10").status().message(),
            "cannot parse \"1e10\" to a valid duration. It overflows int64");
}

TEST(Api, ReadsLimits) {
  EXPECT_EQ(*parse_api_limit(""), 0u);
  EXPECT_EQ(*parse_api_limit("0"), 0u);
  EXPECT_EQ(*parse_api_limit("12"), 12u);
  EXPECT_EQ(parse_api_limit("-1").status().message(), "limit must be non-negative");
  EXPECT_EQ(parse_api_limit("x").status().message(), "strconv.Atoi: parsing \"x\": invalid syntax");
}

TEST(Api, WrapsParameterErrorsTheWayPrometheusDoes) {
  HttpRequest request;
  request.parameters = {{"start", "x"}, {"step", "y"}, {"limit", "-2"}, {"empty", ""}};
  EXPECT_EQ(required_time(request, "start").status().message(),
            "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp");
  EXPECT_EQ(required_time(request, "end").status().message(),
            "invalid parameter \"end\": cannot parse \"\" to a valid timestamp");
  EXPECT_EQ(optional_time(request, "start", {7}).status().message(),
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a "
            "valid timestamp");
  EXPECT_EQ(*optional_time(request, "empty", {7}), Timestamp{7});
  EXPECT_EQ(optional_duration(request, "step").status().message(),
            "invalid parameter \"step\": cannot parse \"y\" to a valid duration");
  EXPECT_FALSE(optional_duration(request, "empty")->has_value());
  EXPECT_EQ(limit_parameter(request).status().message(),
            "invalid parameter \"limit\": limit must be non-negative");
}

}  // namespace
}  // namespace tarsier
