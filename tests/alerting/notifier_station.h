#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/notifier.h"
#include "base/file.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/fake_http_client.h"

namespace tarsier::alerting::testing {

/// A receiver with one webhook, `http://<name>/`.
ReceiverConfig webhook_receiver(const std::string& name);

/// One route to `receiver`, grouped by alertname: waits 30 s, looks again every 5 m, repeats after
/// 4 h.
NotifierConfig simple_config(const std::string& receiver);

/// `key` of every route, from the root down.
void fill_keys(Route& route, const std::string& parent = "");

std::vector<tsdb::Matcher> matchers(std::string_view text);

/// A notifier between a disk and a network of the test's own, and a clock that jumps from one due
/// moment to the next.
class Station final {
 public:
  explicit Station(FileSystem& files, Timestamp start = Timestamp{1'700'000'000'000});

  /// Starts the notifier, again after stop() or a crash.
  Status start(const NotifierConfig& config);
  void stop() { notifier.reset(); }

  /// An alert of these labels, firing from now on and told again until `ends`.
  Status fire(const tsdb::Labels& labels, Duration lasts = minutes(1000));
  Status resolve(const tsdb::Labels& labels);
  /// Runs everything due up to `t`, which then is now.
  void run_until(Timestamp t);
  void pass(Duration d) { run_until(now + d); }

  /// Bodies delivered, in order: `status: alertname, alertname!` with `!` for resolved ones.
  std::vector<std::string> told;
  /// Ids of all requests and their bodies, failed ones too.
  std::vector<std::pair<std::string, std::string>> sent;
  /// What the network answers; a 200 by default.
  std::function<Result<HttpResponse>(const HttpFetch&)> answer;

  FileSystem& files;
  tarsier::testing::FakeHttpClient client;
  tarsier::testing::CapturingLogger log;
  Timestamp now;
  std::unique_ptr<Notifier> notifier;

 private:
  std::vector<std::pair<tsdb::Labels, Timestamp>> starts_;
};

/// The header of a request, empty if it has none.
std::string header_of(const HttpFetch& fetch, std::string_view name);

}  // namespace tarsier::alerting::testing
