#include "server/s3_bucket.h"

#include <algorithm>
#include <charconv>
#include <future>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/percent_encoding.h"

namespace tarsier::server {
namespace {

constexpr int kAttempts = 3;
constexpr Duration kFirstWait = seconds(1);
/// Of a request that carries no file, and at least of one that does.
constexpr Duration kTimeout = seconds(30);
/// The slowest line that is worth waiting for: bytes in a millisecond.
constexpr std::int64_t kBytesPerMsMin = 256;
constexpr std::uint64_t kAnswerBytesMax = std::uint64_t{8} << 20;

/// The text of the first element of that name; empty if there is none. What S3 answers is flat
/// enough for that.
std::string xml_text(std::string_view xml, std::string_view name) {
  const std::string open = fmt::format("<{}>", name);
  const std::size_t begin = xml.find(open);
  if (begin == std::string_view::npos) return "";
  const std::size_t end = xml.find('<', begin + open.size());
  if (end == std::string_view::npos) return "";
  std::string_view rest = xml.substr(begin + open.size(), end - begin - open.size());
  constexpr std::pair<std::string_view, char> kEntities[] = {
      {"&quot;", '"'}, {"&#34;", '"'}, {"&amp;", '&'}};
  std::string text;
  while (!rest.empty()) {
    const auto* const entity =
        std::find_if(std::begin(kEntities), std::end(kEntities),
                     [&](const auto& one) { return rest.starts_with(one.first); });
    const bool is_entity = entity != std::end(kEntities);
    text += is_entity ? entity->second : rest.front();
    rest.remove_prefix(is_entity ? entity->first.size() : 1);
  }
  return text;
}

bool is_worth_another_try(const Result<HttpResponse>& answer) {
  if (!answer.ok()) {
    return answer.status().code() == Code::kUnavailable || answer.status().code() == Code::kTimeout;
  }
  return answer->status == 429 || answer->status >= 500;
}

class S3Bucket final : public tsdb::Bucket {
 public:
  S3Bucket(S3Config config, S3Doors doors) : config_(std::move(config)), doors_(std::move(doors)) {}

  std::string description() const override {
    return fmt::format("s3://{} at {}", config_.bucket, config_.endpoint);
  }

  Result<std::map<std::string, std::uint64_t>> list(const std::string& prefix) override {
    const HttpResponse answer =
        TRY(ask("GET", "", {{"list-type", "2"}, {"prefix", prefix}, {"encoding-type", "url"}}, {}));
    auto found = parse_s3_listing(answer.body);
    if (!found.ok()) return std::move(found).status().with_prefix(description());
    return found;
  }

  Status put(const std::string& name, std::string_view content) override {
    return ask("PUT", name, {}, std::string(content)).status();
  }

  Status put_file(const std::string& name, const ReadableFile& file) override {
    if (file.size() > config_.part_bytes) return put_in_parts(name, file);
    const std::string content = TRY(read(file, 0, file.size()));
    return ask("PUT", name, {}, content).status();
  }

 private:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  static Result<std::string> read(const ReadableFile& file, std::uint64_t begin,
                                  std::uint64_t bytes) {
    std::string out(static_cast<std::size_t>(bytes), '\0');
    TRY(file.read_at(begin, std::as_writable_bytes(std::span(out))));
    return out;
  }

  Status put_in_parts(const std::string& name, const ReadableFile& file) {
    const HttpResponse begun = TRY(ask("POST", name, {{"uploads", ""}}, {}));
    const std::string id = xml_text(begun.body, "UploadId");
    if (id.empty()) return corruption(description() + ": no UploadId in the answer");
    const Status sent = send_parts(name, id, file);
    // Or the store would keep, and bill, the pieces.
    if (!sent.ok()) (void)ask("DELETE", name, {{"uploadId", id}}, {}).ok();
    return sent;
  }

  Status send_parts(const std::string& name, const std::string& id, const ReadableFile& file) {
    std::string all = "<CompleteMultipartUpload>";
    int number = 0;
    for (std::uint64_t at = 0; at < file.size(); at += config_.part_bytes) {
      const std::uint64_t bytes = std::min(config_.part_bytes, file.size() - at);
      const std::string part = std::to_string(++number);
      const std::string content = TRY(read(file, at, bytes));
      const HttpResponse answer =
          TRY(ask("PUT", name, {{"partNumber", part}, {"uploadId", id}}, content));
      const auto etag = std::find_if(
          answer.headers.begin(), answer.headers.end(),
          [](const auto& header) { return equal_ignoring_case(header.first, "etag"); });
      if (etag == answer.headers.end()) return corruption(description() + ": a part has no ETag");
      all += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", part,
                         etag->second);
    }
    const HttpResponse done =
        TRY(ask("POST", name, {{"uploadId", id}}, all + "</CompleteMultipartUpload>"));
    // This one answers 200 before it knows.
    if (done.body.find("<Error>") != std::string::npos) return refusal(done);
    return {};
  }

  Status refusal(const HttpResponse& answer) const {
    const std::string code = xml_text(answer.body, "Code");
    const std::string message = xml_text(answer.body, "Message");
    const std::string text = fmt::format("{}: {} {}{}{}", description(), answer.status,
                                         code.empty() ? http_reason_phrase(answer.status) : code,
                                         message.empty() ? "" : ": ", message);
    return answer.status >= 500 || answer.status == 429 ? unavailable(text) : io_error(text);
  }

  /// Sends until there is an answer worth having.
  Result<HttpResponse> ask(const std::string& method, const std::string& name,
                           const Parameters& parameters, const std::string& body) {
    S3Request request;
    request.method = method;
    request.host = config_.in_path ? config_.endpoint : config_.bucket + "." + config_.endpoint;
    request.path = config_.in_path ? "/" + config_.bucket + "/" + name : "/" + name;
    request.parameters = parameters;
    request.body = body;
    Duration wait = kFirstWait;
    for (int attempt = 1;; ++attempt) {
      Result<HttpResponse> answer = send(request);
      if (doors_.cancel->is_cancelled()) return cancelled("the server is ending");
      if (!is_worth_another_try(answer) || attempt == kAttempts) {
        if (!answer.ok()) return std::move(answer).status().with_prefix(description());
        if (answer->status / 100 != 2) return refusal(*answer);
        return answer;
      }
      doors_.sleep(wait);
      wait = Duration{2 * wait.ms};
    }
  }

  Result<HttpResponse> send(const S3Request& request) {
    HttpFetch fetch;
    fetch.url = fmt::format("{}://{}{}", config_.insecure ? "http" : "https", request.host,
                            s3_target(request));
    fetch.method = request.method;
    fetch.headers =
        sign_s3(request, {config_.access_key, config_.secret_key, config_.session_token},
                config_.region, doors_.now());
    fetch.body = std::string(request.body);
    fetch.timeout =
        kTimeout + Duration{static_cast<std::int64_t>(request.body.size()) / kBytesPerMsMin};
    fetch.body_size_max = kAnswerBytesMax;
    fetch.follow_redirects = false;
    fetch.config = config_.http;
    fetch.cancel = doors_.cancel;
    const auto answered = std::make_shared<std::promise<Result<HttpResponse>>>();
    std::future<Result<HttpResponse>> answer = answered->get_future();
    doors_.client.fetch(std::move(fetch), [answered](Result<HttpResponse> response) {
      answered->set_value(std::move(response));
    });
    return answer.get();
  }

  const S3Config config_;
  const S3Doors doors_;
};

/// `s3.eu-west-1.amazonaws.com` is in eu-west-1.
std::string region_of(const std::string& endpoint) {
  constexpr std::string_view kAmazon = ".amazonaws.com";
  constexpr std::string_view kStore = "s3.";
  if (endpoint.starts_with(kStore) && endpoint.ends_with(kAmazon) &&
      endpoint.size() > kStore.size() + kAmazon.size()) {
    return endpoint.substr(kStore.size(), endpoint.size() - kStore.size() - kAmazon.size());
  }
  return "us-east-1";
}

}  // namespace

Result<std::map<std::string, std::uint64_t>> parse_s3_listing(std::string_view xml) {
  std::map<std::string, std::uint64_t> found;
  constexpr std::string_view kItem = "<Contents>";
  std::string_view rest = xml;
  for (std::size_t at; (at = rest.find(kItem)) != std::string_view::npos;) {
    rest.remove_prefix(at + kItem.size());
    const std::string_view item = rest.substr(0, rest.find("</Contents>"));
    const auto name = percent_decode(xml_text(item, "Key"));
    const std::string size_text = xml_text(item, "Size");
    std::uint64_t size = 0;
    const auto [end, error] =
        std::from_chars(size_text.data(), size_text.data() + size_text.size(), size);
    if (!name || error != std::errc{}) return corruption("a strange listing");
    found[*name] = size;
  }
  return found;
}

std::unique_ptr<tsdb::Bucket> make_s3_bucket(S3Config config, S3Doors doors) {
  // As it stands in the header Host, which is signed.
  const std::string_view usual_port = config.insecure ? ":80" : ":443";
  if (config.endpoint.ends_with(usual_port)) {
    config.endpoint.resize(config.endpoint.size() - usual_port.size());
  }
  if (config.region.empty()) config.region = region_of(config.endpoint);
  return std::make_unique<S3Bucket>(std::move(config), std::move(doors));
}

}  // namespace tarsier::server
