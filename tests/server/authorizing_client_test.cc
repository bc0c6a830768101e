#include "server/authorizing_client.h"

#include <gtest/gtest.h>

#include "base/posix_file.h"

#include "tests/support/fake_http_client.h"
#include "tests/support/temporary_directory.h"

namespace tarsier::server {
namespace {

class AuthorizingClientTest : public ::testing::Test {
 protected:
  void fetch(Duration timeout = seconds(10)) {
    HttpFetch request;
    request.url = "http://target/metrics";
    request.timeout = timeout;
    request.config = std::make_shared<const HttpClientConfig>(config);
    client.fetch(std::move(request),
                 [this](Result<HttpResponse> answer) { answers.push_back(std::move(answer)); });
  }
  static std::string header(const HttpFetch& fetch, const std::string& name) {
    for (const auto& [key, value] : fetch.headers) {
      if (key == name) return value;
    }
    return "(none)";
  }
  static HttpResponse token(const std::string& value, int lifetime_seconds) {
    return {.body = R"({"access_token":")" + value + R"(","token_type":"bearer","expires_in":)" +
                    std::to_string(lifetime_seconds) + "}"};
  }

  testing::TemporaryDirectory directory;
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  testing::FakeHttpClient network;
  std::int64_t now_ns = 1;
  AuthorizingHttpClient client{network, *files, [this] { return now_ns; }};
  HttpClientConfig config;
  std::vector<Result<HttpResponse>> answers;
};

TEST_F(AuthorizingClientTest, SecretsInFilesCountAnewForEachRequest) {
  const std::string path = directory.path() + "/token";
  config.credentials = {.kind = HttpCredentials::Kind::kAuthorization,
                        .scheme = "Bearer",
                        .secret = {.text = {}, .file = path}};
  ASSERT_TRUE(write_file_atomically(*files, path, " one\n").ok());
  fetch();
  ASSERT_TRUE(write_file_atomically(*files, path, "two").ok());
  fetch();
  ASSERT_EQ(network.requests.size(), 2U);
  EXPECT_EQ(header(network.requests[0], "Authorization"), "Bearer one");
  EXPECT_EQ(header(network.requests[1], "Authorization"), "Bearer two");
  ASSERT_TRUE(files->remove_file(path).ok());
  fetch();
  EXPECT_EQ(network.requests.size(), 2U) << "sent without the credentials";
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_NE(answers[0].status().message().find(path), std::string::npos);
}

TEST_F(AuthorizingClientTest, SendsBasicCredentialsAndConfiguredHeaders) {
  config.credentials = {.kind = HttpCredentials::Kind::kBasic,
                        .user = {.text = "u", .file = {}},
                        .secret = {.text = "p", .file = {}}};
  config.headers = {{.name = "X-A", .value = {.text = "1", .file = {}}}};
  fetch();
  EXPECT_EQ(header(network.requests[0], "Authorization"), "Basic dTpw");
  EXPECT_EQ(header(network.requests[0], "X-A"), "1");
  const std::string path = directory.path() + "/evil";
  ASSERT_TRUE(write_file_atomically(*files, path, "x\r\nHost: evil").ok());
  config.headers[0].value.file = path;
  fetch();
  EXPECT_EQ(network.requests.size(), 1U);
  EXPECT_EQ(answers.at(0).status().message(), "header \"X-A\" has a line break");
}

TEST_F(AuthorizingClientTest, FetchesOneTokenForAllWhoWait) {
  config.oauth2 = {.client_id = "id+1",
                   .client_secret = {.text = "s&t", .file = {}},
                   .scopes = {"a", "b"},
                   .token_url = "https://issuer/token",
                   .endpoint_parameters = {{"audience", "x y"}},
                   .tls = {.server_name = "issuer.example"}};
  fetch();
  fetch();
  ASSERT_EQ(network.requests.size(), 1U);
  const HttpFetch& asked = network.requests[0];
  EXPECT_EQ(asked.url, "https://issuer/token");
  EXPECT_EQ(asked.method, "POST");
  EXPECT_EQ(asked.body, "grant_type=client_credentials&scope=a+b&audience=x+y");
  EXPECT_EQ(header(asked, "Authorization"), "Basic aWQlMkIxOnMlMjZ0");  // id%2B1:s%26t
  EXPECT_EQ(asked.config->tls.server_name, "issuer.example");
  network.answer(token("T1", 60));
  ASSERT_EQ(network.requests.size(), 3U);
  EXPECT_EQ(header(network.requests[1], "Authorization"), "Bearer T1");
  EXPECT_EQ(network.requests[1].url, "http://target/metrics");

  now_ns += 49'000'000'000;
  fetch();
  EXPECT_EQ(network.requests.size(), 4U) << "the token still holds";
  now_ns += 2'000'000'000;  // Ten seconds before its end it no longer does.
  fetch();
  EXPECT_EQ(network.requests[4].url, "https://issuer/token");
}

TEST_F(AuthorizingClientTest, TriesTheBodyWhereTheHeaderIsRefused) {
  config.oauth2 = {.client_id = "id",
                   .client_secret = {.text = "s", .file = {}},
                   .token_url = "http://issuer/token"};
  fetch();
  network.answer(HttpResponse{.status = 401});
  ASSERT_EQ(network.requests.size(), 2U);
  EXPECT_EQ(network.requests[1].body, "grant_type=client_credentials&client_id=id&client_secret=s");
  network.answer(HttpResponse{.status = 401, .body = "no"});
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status().message(),
            "oauth2: cannot fetch token: 401 Unauthorized\nResponse: no");
  fetch();
  EXPECT_NE(header(network.requests[2], "Authorization"), "(none)") << "begins anew";
}

TEST_F(AuthorizingClientTest, TheTimeForTheTokenIsTakenFromTheRequest) {
  config.oauth2 = {.client_id = "id", .client_secret = {}, .token_url = "http://issuer/token"};
  fetch(seconds(10));
  now_ns += 4'000'000'000;
  network.answer(token("T", 60));
  EXPECT_EQ(network.requests[1].timeout, seconds(6));
  now_ns += 100'000'000'000;
  fetch(seconds(10));
  now_ns += 10'000'000'000;
  network.pending.erase(network.pending.begin());  // The target's request is not the point here.
  network.answer(token("T", 60));
  EXPECT_EQ(answers.at(0).status().message(), "context deadline exceeded");
}

}  // namespace
}  // namespace tarsier::server
