#include "server/url.h"

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

TEST(Url, TakesAbsoluteUrlsApart) {
  const auto url = parse_url("HTTP://user:p%40ss@example.com:9100/metrics?a=b#c");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->scheme, "http");
  EXPECT_EQ(url->host, "example.com");
  EXPECT_EQ(url->port, 9100);
  EXPECT_EQ(url->target, "/metrics?a=b");
  EXPECT_EQ(url->user_info, "user:p@ss");
  EXPECT_EQ(url->origin(), "http://example.com:9100");
  const auto v6 = parse_url("https://[::1]?q");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 443);
  EXPECT_EQ(v6->target, "/?q");
  EXPECT_EQ(v6->authority(), "[::1]");
}

TEST(Url, RefusesWhatItCannotFetch) {
  for (const char* text : {"", "example.com", "ftp://x/", "http://", "http://x:99999/",
                           "http://[::1/", "http://x/a b", "http://x:1:2/"}) {
    EXPECT_FALSE(parse_url(text).ok()) << text;
  }
}

TEST(Url, ResolvesLocations) {
  const Url base = *parse_url("http://a:1/b/c?d");
  const std::pair<const char*, const char*> cases[] = {
      {"https://z/y", "https://z/y"}, {"//z/y", "http://z/y"},        {"/y?q", "http://a:1/y?q"},
      {"y", "http://a:1/b/y"},        {"?q=1", "http://a:1/b/c?q=1"},
  };
  for (const auto& [location, expected] : cases) {
    const auto url = resolve_url(base, location);
    ASSERT_TRUE(url.ok()) << location;
    EXPECT_EQ(url->origin() + url->target, expected);
  }
}

TEST(Url, ReadsListenAddresses) {
  EXPECT_EQ(*parse_address(":9090"), (std::pair<std::string, std::uint16_t>("", 9090)));
  EXPECT_EQ(*parse_address("[::1]:80"), (std::pair<std::string, std::uint16_t>("::1", 80)));
  EXPECT_FALSE(parse_address("localhost").ok());
  EXPECT_FALSE(parse_address("::1:80").ok());
  EXPECT_FALSE(parse_address("x:http").ok());
}

}  // namespace
}  // namespace tarsier::server
