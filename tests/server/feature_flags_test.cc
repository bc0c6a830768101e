#include "server/feature_flags.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server/features_api.h"
#include "server/flags.h"
#include "server/openapi.h"

namespace tarsier::server {
namespace {

Flags parse(const std::vector<std::string>& arguments) {
  Result<Flags> flags = Flags::parse(arguments);
  CHECK(flags.ok(), flags.status().message());
  return std::move(*flags);
}

TEST(FeatureFlags, UnknownAndEffectlessNamesAreTold) {
  const Flags flags = parse({"--enable-feature=promql-per-step-stats,exemplar-storage",
                             "--enable-feature=no-such-thing", "--enable-feature=old-ui"});
  EXPECT_TRUE(has_feature(flags, "promql-per-step-stats"));
  EXPECT_FALSE(has_feature(flags, "search-api"));
  EXPECT_EQ(feature_warnings(flags),
            (std::vector<std::string>{
                "This option for --enable-feature is always on: \"exemplar-storage\"",
                "Unknown option for --enable-feature: \"no-such-thing\"",
                "This option for --enable-feature has no effect here: \"old-ui\""}));
}

TEST(FeatureFlags, TheFeatureListFollowsThem) {
  const std::string off = features_response(parse({})).body;
  const std::string on =
      features_response(parse({"--enable-feature=promql-experimental-functions"})).body;
  EXPECT_NE(off.find("\"info\":false"), std::string::npos);
  EXPECT_NE(on.find("\"info\":true"), std::string::npos);
  EXPECT_NE(off.find("\"rate\":true"), std::string::npos);
}

TEST(OpenApi, IsServedInTheVersionAskedFor) {
  HttpRequest request;
  const HttpResponse older = openapi_response(request);
  EXPECT_EQ(older.content_type, "application/yaml; charset=utf-8");
  EXPECT_TRUE(older.body.starts_with("openapi: 3.1.0\n"));
  EXPECT_NE(older.body.find("\n  /query_range:\n    get:\n      operationId: query-range\n"),
            std::string::npos);
  request.parameters = {{"openapi_version", "3.2"}};
  EXPECT_TRUE(openapi_response(request).body.starts_with("openapi: 3.2.0\n"));
}

}  // namespace
}  // namespace tarsier::server
