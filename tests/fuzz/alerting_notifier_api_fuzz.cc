#include "alerting/notifier.h"
#include "alerting/notifier_api.h"
#include "base/check.h"
#include "base/json_reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/fake_http_client.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier {
namespace {

std::shared_ptr<const alerting::NotifierConfig> config() {
  alerting::NotifierConfig out;
  out.root.receiver = "r";
  out.root.key = "{}";
  out.receivers = {{.name = "r", .integrations = {{}}}};
  return std::make_shared<const alerting::NotifierConfig>(std::move(out));
}

}  // namespace

/// Silences, alerts and filters as anybody may post them: refused, or shown again as JSON;
/// and what is on disk opens.
void fuzz_one(Bytes bytes) {
  static const auto kConfig = config();
  constexpr Timestamp kNow{1'700'000'000'000};
  testing::FaultyFileSystem files;
  testing::FakeHttpClient client;
  testing::CapturingLogger log;
  const auto open = [&] {
    auto notifier =
        alerting::Notifier::open({.files = files,
                                  .client = client,
                                  .wake = [] {},
                                  .monotonic_ns = [] { return std::int64_t{0}; },
                                  .log = log},
                                 {.directory = "notifier", .external_url = "http://t"}, kNow);
    CHECK(notifier.ok(), notifier.status().message());
    CHECK((*notifier)->configure(kConfig, kNow).ok());
    return std::move(*notifier);
  };
  auto notifier = open();
  const alerting::NotifierApi api(*notifier, {.version = "", .revision = "", .started = kNow});
  HttpRequest request;
  request.received = kNow;
  request.body = as_text(bytes);
  static_cast<void>(api.post_alerts(request));
  const bool is_set = api.post_silence(request).status == 200;
  request.parameters = {
      {"filter", std::string(as_text(bytes.first(std::min<std::size_t>(bytes.size(), 64))))}};
  static_cast<void>(api.alerts(request));
  static_cast<void>(api.groups(request));
  static_cast<void>(api.silences(request));
  request.parameters = {};
  for (const HttpResponse& shown :
       {api.alerts(request), api.groups(request), api.silences(request)}) {
    CHECK(shown.status == 200);
    CHECK(parse_json(shown.body, {.value_count_max = 1'000'000}).ok(), shown.body);
  }
  const Result<JsonValue> list = parse_json(api.silences(request).body);
  CHECK(list.ok() && list->items().size() == (is_set ? 1u : 0u));
  static_cast<void>(notifier->run_due(kNow + minutes(1)));
  const std::size_t count = notifier->silences().size();
  notifier.reset();
  CHECK(open()->silences().size() == count);
}

}  // namespace tarsier
