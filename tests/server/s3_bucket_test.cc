// What is sent to an S3-compatible store is signed as Amazon documents it, goes in parts when it is
// large, and is tried again when the store is away.

#include "server/s3_bucket.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "server/s3_signature.h"
#include "tests/support/fake_http_client.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::server {
namespace {

std::string header(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

/// 2013-05-24T00:00:00Z, as in the examples.
constexpr Timestamp kExampleTime{1'369'353'600'000};
const S3Credentials kExample{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                             ""};

std::string example_signature(S3Request request) {
  request.host = "examplebucket.s3.amazonaws.com";
  const HttpHeaders headers = sign_s3(request, kExample, "us-east-1", kExampleTime);
  EXPECT_EQ(header(headers, "x-amz-date"), "20130524T000000Z");
  const std::string all = header(headers, "Authorization");
  return all.substr(all.rfind('=') + 1);
}

TEST(S3Signature, IsThatOfAmazonsExamples) {
  EXPECT_EQ(example_signature({.parameters = {{"lifecycle", ""}}}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(example_signature({.parameters = {{"prefix", "J"}, {"max-keys", "2"}}}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(S3Signature, SignsWhatGoesOnTheWire) {
  const S3Request request{.path = "/b/a b+c/ü", .parameters = {{"prefix", "x/y z"}, {"a", ""}}};
  EXPECT_EQ(s3_target(request), "/b/a%20b%2Bc/%C3%BC?a=&prefix=x%2Fy%20z");
  S3Credentials temporary = kExample;
  temporary.session_token = "token";
  const HttpHeaders headers = sign_s3(request, temporary, "eu", kExampleTime);
  EXPECT_EQ(header(headers, "x-amz-security-token"), "token");
  EXPECT_NE(header(headers, "Authorization")
                .find("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token"),
            std::string::npos);
  EXPECT_EQ(header(headers, "x-amz-content-sha256"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

class S3BucketTest : public ::testing::Test {
 protected:
  std::unique_ptr<tsdb::Bucket> bucket(S3Config config = {}) {
    if (config.endpoint.empty()) config.endpoint = "minio:9000";
    config.bucket = "blocks";
    config.access_key = "key";
    config.secret_key = "secret";
    return make_s3_bucket(config, {client_, [] { return kExampleTime; },
                                   [this](Duration wait) { slept_ms_ += wait.ms; }, cancel_});
  }
  static HttpResponse answer(int status, std::string body = "", HttpHeaders headers = {}) {
    HttpResponse response;
    response.status = status;
    response.body = std::move(body);
    response.headers = std::move(headers);
    return response;
  }
  std::vector<std::string> asked() const {
    std::vector<std::string> lines;
    for (const HttpFetch& request : client_.requests) {
      lines.push_back(request.method + " " + request.url);
    }
    return lines;
  }

  testing::FakeHttpClient client_;
  std::shared_ptr<CancelToken> cancel_ = std::make_shared<CancelToken>();
  std::int64_t slept_ms_ = 0;
};

TEST_F(S3BucketTest, PutsAndLists) {
  client_.respond = [](const HttpFetch& request) -> Result<HttpResponse> {
    if (request.method == "PUT") return answer(200);
    return answer(200,
                  "<ListBucketResult><Contents><Key>01A/chunks/000001</Key><Size>12</Size>"
                  "</Contents><Contents><Key>01A/a%2Bb</Key><Size>0</Size></Contents>"
                  "</ListBucketResult>");
  };
  const auto s3 = bucket({.insecure = true});
  EXPECT_EQ(s3->description(), "s3://blocks at minio:9000");
  ASSERT_TRUE(s3->put("01A/meta.json", "{}").ok());
  const auto objects = s3->list("01A/").value();
  EXPECT_EQ(objects,
            (std::map<std::string, std::uint64_t>{{"01A/a+b", 0}, {"01A/chunks/000001", 12}}));
  EXPECT_EQ(asked(), (std::vector<std::string>{"PUT http://minio:9000/blocks/01A/meta.json",
                                               "GET http://minio:9000/blocks/"
                                               "?encoding-type=url&list-type=2&prefix=01A%2F"}));
  EXPECT_NE(header(client_.requests[0].headers, "Authorization")
                .find("Credential=key/20130524/us-east-1/s3/aws4_request"),
            std::string::npos);
}

TEST_F(S3BucketTest, NamesTheBucketInTheHostOfAmazon) {
  client_.respond = [](const HttpFetch&) -> Result<HttpResponse> { return answer(200); };
  const auto s3 = bucket({.endpoint = "s3.eu-west-1.amazonaws.com:443", .in_path = false});
  ASSERT_TRUE(s3->put("x", "y").ok());
  EXPECT_EQ(asked().front(), "PUT https://blocks.s3.eu-west-1.amazonaws.com/x");
  EXPECT_NE(header(client_.requests[0].headers, "Authorization").find("/eu-west-1/s3/"),
            std::string::npos);
}

TEST_F(S3BucketTest, SendsLargeFilesInParts) {
  testing::FaultyFileSystem files;
  ASSERT_TRUE(files.create_directories("d").ok());
  ASSERT_TRUE(write_file_atomically(files, "d/f", "aaaabbbbcc").ok());
  const auto file = files.open_readable("d/f", Access::kRead).value();
  client_.respond = [](const HttpFetch& request) -> Result<HttpResponse> {
    if (request.url.ends_with("?uploads=")) return answer(200, "<r><UploadId>u1</UploadId></r>");
    if (request.method == "PUT") return answer(200, "", {{"ETag", "\"" + request.body + "\""}});
    return answer(200, "<CompleteMultipartUploadResult/>");
  };
  ASSERT_TRUE(bucket({.part_bytes = 4})->put_file("f", *file).ok());
  ASSERT_EQ(client_.requests.size(), 5u);
  EXPECT_EQ(client_.requests[2].url, "https://minio:9000/blocks/f?partNumber=2&uploadId=u1");
  EXPECT_EQ(client_.requests[4].body,
            "<CompleteMultipartUpload>"
            "<Part><PartNumber>1</PartNumber><ETag>\"aaaa\"</ETag></Part>"
            "<Part><PartNumber>2</PartNumber><ETag>\"bbbb\"</ETag></Part>"
            "<Part><PartNumber>3</PartNumber><ETag>\"cc\"</ETag></Part>"
            "</CompleteMultipartUpload>");

  client_.requests.clear();
  client_.respond = [](const HttpFetch& request) -> Result<HttpResponse> {
    if (request.url.ends_with("?uploads=")) return answer(200, "<r><UploadId>u1</UploadId></r>");
    if (request.method == "PUT") return answer(403, "<Error><Code>AccessDenied</Code></Error>");
    return answer(204);
  };
  const Status refused = bucket({.part_bytes = 4})->put_file("f", *file);
  EXPECT_EQ(refused.code(), Code::kIo);
  EXPECT_NE(refused.message().find("403 AccessDenied"), std::string::npos) << refused.message();
  EXPECT_EQ(asked().back(), "DELETE https://minio:9000/blocks/f?uploadId=u1");
}

TEST_F(S3BucketTest, TriesThreeTimesWhatMayGetBetter) {
  int calls = 0;
  client_.respond = [&calls](const HttpFetch&) -> Result<HttpResponse> {
    ++calls;
    if (calls == 1) return unavailable("dial tcp: connection refused");
    return answer(calls == 2 ? 503 : 200);
  };
  ASSERT_TRUE(bucket()->put("x", "y").ok());
  EXPECT_EQ(slept_ms_, 3000);
  calls = 0;
  client_.respond = [&calls](const HttpFetch&) -> Result<HttpResponse> {
    ++calls;
    return answer(calls < 9 ? 500 : 200);
  };
  EXPECT_EQ(bucket()->put("x", "y").code(), Code::kUnavailable);
  EXPECT_EQ(calls, 3);
  client_.respond = [](const HttpFetch&) -> Result<HttpResponse> { return answer(404, ""); };
  client_.requests.clear();
  EXPECT_EQ(bucket()->list("x").status().code(), Code::kIo);
  EXPECT_EQ(client_.requests.size(), 1u);
  cancel_->cancel();
  EXPECT_EQ(bucket()->put("x", "y").code(), Code::kCancelled);
}

}  // namespace
}  // namespace tarsier::server
