#include "server/proxy.h"

#include <map>

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

Url url(const std::string& text) { return parse_url(text).value(); }

TEST(Proxy, ExceptionsAreHostsNetworksDomainsAndPorts) {
  struct Case {
    const char* no_proxy;
    const char* url;
    bool exempt;
  };
  const Case cases[] = {
      {"*", "http://anything/", true},
      {"example.com", "http://example.com/", true},
      {"example.com", "http://a.EXAMPLE.com/", true},
      {"example.com", "http://notexample.com/", false},
      {".example.com", "http://a.example.com/", true},
      {".example.com", "http://example.com/", false},
      {"*.example.com", "http://a.example.com/", true},
      {"example.com:81", "http://example.com:81/", true},
      {"example.com:81", "http://example.com/", false},
      {"10.0.0.0/8", "http://10.9.8.7/", true},
      {"10.0.0.0/8", "http://11.0.0.1/", false},
      {"192.168.1.128/25", "http://192.168.1.129/", true},
      {"192.168.1.128/25", "http://192.168.1.1/", false},
      {"10.0.0.1", "http://10.0.0.1:9100/", true},
      {"10.0.0.1:9100", "http://10.0.0.1:9101/", false},
      {"fd00::/8", "http://[fd12::1]/", true},
      {"[fd12::1]:80", "http://[fd12::1]/", true},
      {"fd12::1", "http://[fd12::1]/", true},
      {" a , b ", "http://b/", true},
      {",", "http://b/", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(is_exempt(c.no_proxy, url(c.url)), c.exempt) << c.no_proxy << " " << c.url;
  }
}

TEST(Proxy, IsChosenByConfigurationOrEnvironment) {
  const std::map<std::string, std::string> variables = {
      {"HTTP_PROXY", "upper:1"}, {"https_proxy", "http://lower:2"}, {"NO_PROXY", "direct"}};
  const EnvironmentVariables environment =
      [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  const auto host = [&](const ProxyConfig& config, const std::string& to) {
    const auto proxy = proxy_for(config, url(to), environment);
    if (!proxy.ok()) return proxy.status().message();
    return *proxy ? (*proxy)->origin() : std::string("direct");
  };
  EXPECT_EQ(host({}, "http://x/"), "direct");
  EXPECT_EQ(host({.url = "http://p:3128"}, "https://x/"), "http://p:3128");
  EXPECT_EQ(host({.url = "http://p:3128"}, "http://localhost/"), "http://p:3128");
  EXPECT_EQ(host({.url = "http://p:3128", .no_proxy = "y"}, "http://localhost/"), "direct");
  EXPECT_EQ(host({.url = "http://p:3128", .no_proxy = "y"}, "http://x/"), "http://p:3128");
  EXPECT_EQ(host({.from_environment = true}, "http://x/"), "http://upper:1");
  EXPECT_EQ(host({.from_environment = true}, "https://x/"), "http://lower:2");
  EXPECT_EQ(host({.from_environment = true}, "https://direct/"), "direct");
  EXPECT_EQ(host({.from_environment = true}, "http://127.0.0.9/"), "direct");
  EXPECT_EQ(host({.url = "https://p"}, "http://x/"), "proxies are spoken to by http, not https");
}

}  // namespace
}  // namespace tarsier::server
