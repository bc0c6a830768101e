#include "ingest/remote_reader.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/compression.h"
#include "base/md5.h"
#include "ingest/remote/read_answer.h"
#include "tsdb/merge_querier.h"
#include "tsdb/select_warnings.h"

namespace tarsier::ingest {
namespace {

constexpr auto kCancelPoll = std::chrono::milliseconds(50);
constexpr std::size_t kErrorBytesMax = 512;
constexpr std::int64_t kLogPauseNs = 10'000'000'000;

/// A selection that came from elsewhere, whole.
class RemoteSeriesSet final : public tsdb::SeriesSet {
 public:
  explicit RemoteSeriesSet(std::vector<RemoteSeries> series) : series_(std::move(series)) {}

  std::size_t size() const override { return series_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return series_[i].labels; }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return series_[i].labels.get(name);
  }
  Status read(std::size_t i, TimeRange range, tsdb::SampleColumns& out) const override {
    const tsdb::SampleColumns& from = series_[i].floats;
    const auto [first, end] = within(from.times_ms, range);
    out.times_ms.insert(out.times_ms.end(), from.times_ms.begin() + first,
                        from.times_ms.begin() + end);
    out.values.insert(out.values.end(), from.values.begin() + first, from.values.begin() + end);
    return {};
  }
  Result<std::optional<tsdb::Sample>> last_sample(std::size_t i, TimeRange range) const override {
    const tsdb::SampleColumns& from = series_[i].floats;
    const auto [first, end] = within(from.times_ms, range);
    if (first == end) return std::optional<tsdb::Sample>();
    const auto last = static_cast<std::size_t>(end - 1);
    return std::optional(tsdb::Sample{Timestamp{from.times_ms[last]}, from.values[last]});
  }
  bool may_have_histograms(std::size_t i) const override { return !series_[i].histograms.empty(); }
  Status read_mixed(std::size_t i, TimeRange range, tsdb::SampleColumns& floats,
                    tsdb::HistogramColumns& histograms) const override {
    const tsdb::HistogramColumns& from = series_[i].histograms;
    const auto [first, end] = within(from.times_ms, range);
    for (auto k = static_cast<std::size_t>(first); k < static_cast<std::size_t>(end); ++k) {
      histograms.push_back(Timestamp{from.times_ms[k]}, from.at(k));
    }
    return read(i, range, floats);
  }

 private:
  static std::pair<std::ptrdiff_t, std::ptrdiff_t> within(const std::vector<std::int64_t>& times,
                                                          TimeRange range) {
    const auto first = std::lower_bound(times.begin(), times.end(), range.min.ms);
    const auto end = std::upper_bound(first, times.end(), range.max.ms);
    return {first - times.begin(), end - times.begin()};
  }

  const std::vector<RemoteSeries> series_;
};

/// What was merged, and what is missing in it.
class WarningSeriesSet final : public tsdb::SeriesSet, public tsdb::SelectWarnings {
 public:
  WarningSeriesSet(std::unique_ptr<tsdb::SeriesSet> inner, std::vector<std::string> warnings)
      : inner_(std::move(inner)), warnings_(std::move(warnings)) {}

  const std::vector<std::string>& warnings() const override { return warnings_; }
  std::size_t size() const override { return inner_->size(); }
  tsdb::Labels labels(std::size_t i) const override { return inner_->labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return inner_->label(i, name);
  }
  Status read(std::size_t i, TimeRange range, tsdb::SampleColumns& out) const override {
    return inner_->read(i, range, out);
  }
  Result<std::optional<tsdb::Sample>> last_sample(std::size_t i, TimeRange range) const override {
    return inner_->last_sample(i, range);
  }
  bool may_have_histograms(std::size_t i) const override { return inner_->may_have_histograms(i); }
  bool has_histogram_series() const override { return inner_->has_histogram_series(); }
  bool has_start_times() const override { return inner_->has_start_times(); }
  Status read_start_times(std::size_t i, TimeRange range, std::vector<std::int64_t>& of_floats,
                          std::vector<std::int64_t>& of_histograms) const override {
    return inner_->read_start_times(i, range, of_floats, of_histograms);
  }
  Status read_mixed(std::size_t i, TimeRange range, tsdb::SampleColumns& floats,
                    tsdb::HistogramColumns& histograms) const override {
    return inner_->read_mixed(i, range, floats, histograms);
  }

 private:
  const std::unique_ptr<tsdb::SeriesSet> inner_;
  const std::vector<std::string> warnings_;
};

/// Answers that are there already, as one source of a merge.
class FetchedQuerier final : public tsdb::Querier {
 public:
  explicit FetchedQuerier(std::vector<std::unique_ptr<tsdb::SeriesSet>> sets)
      : sets_(std::move(sets)) {}
  Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& /*matchers*/,
                                                  const tsdb::SelectHints& /*hints*/,
                                                  const CancelToken* /*cancel*/) const override {
    return invalid("what was fetched is asked for once");
  }
  /// REQUIRES: the requests it was fetched for, once.
  Result<std::vector<std::unique_ptr<tsdb::SeriesSet>>> select_all(
      const std::vector<tsdb::SelectRequest>& requests,
      const CancelToken* /*cancel*/) const override {
    CHECK(requests.size() == sets_.size(), "as many selections as were fetched");
    return std::move(sets_);
  }
  Result<std::vector<std::string>> label_names(
      const std::vector<tsdb::Matcher>& /*matchers*/) const override {
    return std::vector<std::string>();
  }
  Result<std::vector<std::string>> label_values(
      std::string_view /*name*/, const std::vector<tsdb::Matcher>& /*matchers*/) const override {
    return std::vector<std::string>();
  }

 private:
  mutable std::vector<std::unique_ptr<tsdb::SeriesSet>> sets_;
};

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, std::min(text.find('\n'), kErrorBytesMax)));
}

bool starts_with_type(std::string_view content_type, std::string_view type) {
  return content_type.starts_with(type) &&
         (content_type.size() == type.size() || content_type[type.size()] == ';');
}

}  // namespace

/// One entry of the configuration with what is counted about it.
struct RemoteReader::Endpoint {
  Endpoint(RemoteReadConfig c, const tsdb::Labels& external)
      : config(std::make_shared<const RemoteReadConfig>(std::move(c))), external_labels(external) {
    name = config->name.empty() ? hex(md5(as_bytes(config->url))).substr(0, 6) : config->name;
  }
  static std::string hex(const auto& digest) {
    std::string out;
    for (const auto byte : digest) out += fmt::format("{:02x}", static_cast<unsigned>(byte));
    return out;
  }

  bool is_for(const std::vector<tsdb::Matcher>& matchers) const {
    return std::all_of(config->required_matchers.begin(), config->required_matchers.end(),
                       [&](const auto& required) {
                         return std::any_of(matchers.begin(), matchers.end(), [&](const auto& m) {
                           return m.op() == tsdb::MatchOp::kEqual && m.name() == required.first &&
                                  m.value() == required.second;
                         });
                       });
  }
  /// Each query tells its failures; the log need not tell all.
  bool may_log(std::int64_t now_ns) {
    const MutexLock lock(mutex);
    if (logged_ns && now_ns - *logged_ns < kLogPauseNs) return false;
    logged_ns = now_ns;
    return true;
  }
  void count(const std::string& code) {
    const MutexLock lock(mutex);
    ++queries_by_code[code];
  }

  const std::shared_ptr<const RemoteReadConfig> config;
  const tsdb::Labels external_labels;
  std::string name;
  Gauge in_flight;
  HistogramMetric seconds{{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60}};
  mutable Mutex mutex;
  std::map<std::string, std::uint64_t> queries_by_code GUARDED_BY(mutex);
  std::optional<std::int64_t> logged_ns GUARDED_BY(mutex);
};

/// A selection of one moment, here and elsewhere.
class RemoteReader::View final : public tsdb::Querier {
 public:
  View(const RemoteReader& reader, std::shared_ptr<const Endpoints> endpoints,
       std::unique_ptr<tsdb::Querier> local)
      : reader_(reader), endpoints_(std::move(endpoints)), local_(std::move(local)) {}

  Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& matchers,
                                                  const tsdb::SelectHints& hints,
                                                  const CancelToken* cancel) const override {
    auto sets = TRY(select_all({{matchers, hints}}, cancel));
    return std::move(sets.front());
  }
  Result<std::vector<std::unique_ptr<tsdb::SeriesSet>>> select_all(
      const std::vector<tsdb::SelectRequest>& requests, const CancelToken* cancel) const override;
  bool heeds_resolution() const override { return local_->heeds_resolution(); }
  Result<std::vector<std::string>> label_names(
      const std::vector<tsdb::Matcher>& matchers) const override {
    return local_->label_names(matchers);
  }
  Result<std::vector<std::string>> label_values(
      std::string_view name, const std::vector<tsdb::Matcher>& matchers) const override {
    return local_->label_values(name, matchers);
  }

 private:
  /// One selection asked of one endpoint.
  struct Asked {
    std::size_t request = 0;
    std::shared_ptr<Endpoint> endpoint;
    TimeRange range;
    std::vector<std::string> left_out;  ///< Labels that were added to the question.
    std::int64_t begun_ns = 0;
    std::future<Result<HttpResponse>> answer;
  };

  bool is_wanted(const Endpoint& endpoint, const tsdb::SelectRequest& request,
                 TimeRange& range) const;
  Asked ask(std::size_t position, const std::shared_ptr<Endpoint>& endpoint,
            const tsdb::SelectRequest& request, TimeRange range,
            const std::shared_ptr<CancelToken>& cancel) const;
  Result<std::vector<RemoteSeries>> read(const Asked& asked, Result<HttpResponse> answer) const;

  const RemoteReader& reader_;
  const std::shared_ptr<const Endpoints> endpoints_;
  const std::unique_ptr<tsdb::Querier> local_;
};

bool RemoteReader::View::is_wanted(const Endpoint& endpoint, const tsdb::SelectRequest& request,
                                   TimeRange& range) const {
  range = request.hints.range;
  if (!endpoint.is_for(request.matchers)) return false;
  if (endpoint.config->read_recent) return true;
  const Timestamp start = reader_.doors_.local_start();
  if (start == kMaxTimestamp) return true;
  const Timestamp trusted = start + reader_.options_.start_margin;
  if (range.min > trusted) return false;
  range.max = std::min(range.max, trusted);
  return true;
}

RemoteReader::View::Asked RemoteReader::View::ask(
    std::size_t position, const std::shared_ptr<Endpoint>& endpoint,
    const tsdb::SelectRequest& request, TimeRange range,
    const std::shared_ptr<CancelToken>& cancel) const {
  Asked asked{.request = position,
              .endpoint = endpoint,
              .range = range,
              .left_out = {},
              .begun_ns = reader_.doors_.monotonic_ns(),
              .answer = {}};
  std::vector<tsdb::Matcher> matchers = request.matchers;
  if (endpoint->config->filter_external_labels) {
    for (const tsdb::LabelView& label : endpoint->external_labels) {
      const bool is_asked = std::any_of(matchers.begin(), matchers.end(),
                                        [&](const auto& m) { return m.name() == label.name; });
      if (is_asked) continue;
      matchers.push_back(tsdb::Matcher::equal(std::string(label.name), std::string(label.value)));
      asked.left_out.emplace_back(label.name);
    }
  }
  tsdb::SelectHints hints = request.hints;
  hints.range = range;
  const std::shared_ptr<const RemoteReadConfig>& config = endpoint->config;
  HttpFetch fetch{.url = config->url,
                  .headers = {{"Content-Type", "application/x-protobuf"},
                              {"Content-Encoding", "snappy"},
                              {"Accept-Encoding", "snappy"},
                              {"User-Agent", reader_.doors_.user_agent},
                              {"X-Prometheus-Remote-Read-Version", "0.1.0"}},
                  .method = "POST",
                  .timeout = config->remote_timeout,
                  .body_size_max = reader_.options_.answer_bytes_max};
  snappy_compress(as_bytes(encode_read_request(matchers, hints)), fetch.body);
  fetch.config = std::shared_ptr<const HttpClientConfig>(config, &config->http);
  fetch.cancel = cancel;
  const auto promise = std::make_shared<std::promise<Result<HttpResponse>>>();
  asked.answer = promise->get_future();
  endpoint->in_flight.add(1);
  reader_.doors_.client.fetch(std::move(fetch), [promise, endpoint](Result<HttpResponse> answer) {
    endpoint->in_flight.add(-1);
    promise->set_value(std::move(answer));
  });
  return asked;
}

Result<std::vector<RemoteSeries>> RemoteReader::View::read(const Asked& asked,
                                                           Result<HttpResponse> answer) const {
  Endpoint& endpoint = *asked.endpoint;
  endpoint.seconds.observe(static_cast<double>(reader_.doors_.monotonic_ns() - asked.begun_ns) /
                           1e9);
  endpoint.count(answer.ok() ? fmt::format("{}", answer->status) : "error");
  if (!answer.ok()) return std::move(answer).status().with_prefix("error sending request");
  if (answer->status / 100 != 2) {
    return unavailable(fmt::format("remote server {} returned http status {} {}: {}",
                                   endpoint.config->url, answer->status,
                                   http_reason_phrase(answer->status), first_line(answer->body)));
  }
  const ReadAnswerLimits limits{.frame_bytes_max = endpoint.config->chunked_read_limit,
                                .samples_max = reader_.options_.samples_max};
  Result<std::vector<RemoteSeries>> series = std::vector<RemoteSeries>();
  if (starts_with_type(answer->content_type, "application/x-protobuf")) {
    std::string message;
    TRY(snappy_decompress(as_bytes(answer->body), 4 * reader_.options_.answer_bytes_max, message));
    series = read_sampled_answer(message, asked.range, limits);
  } else if (starts_with_type(answer->content_type, "application/x-streamed-protobuf")) {
    series = read_chunked_answer(answer->body, asked.range, limits);
  } else {
    return corruption(fmt::format("unsupported content type: {}", answer->content_type));
  }
  if (!series.ok()) return std::move(series).status().with_prefix("error reading response");
  TRY(tidy_answer(*series, asked.left_out));
  return series;
}

Result<std::vector<std::unique_ptr<tsdb::SeriesSet>>> RemoteReader::View::select_all(
    const std::vector<tsdb::SelectRequest>& requests, const CancelToken* cancel) const {
  // All questions first, then our own part, then the answers: they travel meanwhile.
  const auto stop = std::make_shared<CancelToken>();
  struct StopAtEnd {
    std::shared_ptr<CancelToken> token;
    ~StopAtEnd() { token->cancel(); }
  } const stop_at_end{stop};
  std::vector<Asked> all;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    for (const std::shared_ptr<Endpoint>& endpoint : *endpoints_) {
      TimeRange range{kMinTimestamp, kMaxTimestamp};
      if (is_wanted(*endpoint, requests[i], range)) {
        all.push_back(ask(i, endpoint, requests[i], range, stop));
      }
    }
  }
  auto local = TRY(local_->select_all(requests, cancel));
  if (all.empty()) return local;

  std::vector<std::vector<tsdb::MergeSource>> sources(requests.size());
  std::vector<std::vector<std::string>> warnings(requests.size());
  const TimeRange always{kMinTimestamp, kMaxTimestamp};
  const auto add = [&](std::size_t i, std::unique_ptr<tsdb::SeriesSet> set) {
    std::vector<std::unique_ptr<tsdb::SeriesSet>> one;
    one.push_back(std::move(set));
    sources[i].push_back({std::make_unique<FetchedQuerier>(std::move(one)), always});
  };
  for (std::size_t i = 0; i < requests.size(); ++i) add(i, std::move(local[i]));
  for (Asked& asked : all) {
    while (asked.answer.wait_for(kCancelPoll) != std::future_status::ready) {
      if (!cancel || !cancel->is_cancelled()) continue;
      return cancel->is_expired() ? timeout("query timed out") : cancelled("query was cancelled");
    }
    Result<std::vector<RemoteSeries>> series = read(asked, asked.answer.get());
    if (series.ok()) {
      add(asked.request, std::make_unique<RemoteSeriesSet>(std::move(*series)));
      continue;
    }
    if (asked.endpoint->may_log(reader_.doors_.monotonic_ns())) {
      reader_.doors_.log.warn("A remote read failed", {{"remote_name", asked.endpoint->name},
                                                       {"url", asked.endpoint->config->url},
                                                       {"err", series.status().message()}});
    }
    warnings[asked.request].push_back(fmt::format("remote_read: {}", series.status().message()));
  }
  std::vector<std::unique_ptr<tsdb::SeriesSet>> out;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto merged = tsdb::make_merge_querier(std::move(sources[i]));
    auto sets = TRY(merged->select_all({requests[i]}, cancel));
    if (warnings[i].empty()) {
      out.push_back(std::move(sets.front()));
    } else {
      out.push_back(
          std::make_unique<WarningSeriesSet>(std::move(sets.front()), std::move(warnings[i])));
    }
  }
  return out;
}

RemoteReader::RemoteReader(Doors doors, RemoteReaderOptions options)
    : doors_(std::move(doors)),
      options_(options),
      endpoints_(std::make_shared<const Endpoints>()) {}

RemoteReader::~RemoteReader() = default;

void RemoteReader::apply(const std::vector<RemoteReadConfig>& configs,
                         const tsdb::Labels& external_labels) {
  const std::shared_ptr<const Endpoints> before = endpoints();
  auto next = std::make_shared<Endpoints>();
  for (const RemoteReadConfig& config : configs) {
    const auto same = std::find_if(before->begin(), before->end(), [&](const auto& endpoint) {
      return *endpoint->config == config && endpoint->external_labels == external_labels;
    });
    next->push_back(same != before->end() ? *same
                                          : std::make_shared<Endpoint>(config, external_labels));
  }
  const MutexLock lock(mutex_);
  endpoints_ = std::move(next);
}

std::shared_ptr<const RemoteReader::Endpoints> RemoteReader::endpoints() const {
  const MutexLock lock(mutex_);
  return endpoints_;
}

Result<std::unique_ptr<tsdb::Querier>> RemoteReader::querier(TimeRange range) {
  std::shared_ptr<const Endpoints> all = endpoints();
  auto local = TRY(doors_.local.querier(range));
  if (all->empty()) return local;
  return std::unique_ptr<tsdb::Querier>(
      std::make_unique<View>(*this, std::move(all), std::move(local)));
}

const tsdb::ChangeLog* RemoteReader::changes() const {
  return endpoints()->empty() ? doors_.local.changes() : nullptr;
}

void RemoteReader::collect(MetricWriter& out) const {
  const std::shared_ptr<const Endpoints> all = endpoints();
  for (const auto& endpoint : *all) {
    out.gauge("prometheus_remote_read_client_queries",
              "The number of in-flight remote read queries.", endpoint->in_flight.value(),
              {{"remote_name", endpoint->name}, {"url", endpoint->config->url}});
  }
  for (const auto& endpoint : *all) {
    const MutexLock lock(endpoint->mutex);
    for (const auto& [code, count] : endpoint->queries_by_code) {
      out.counter(
          "prometheus_remote_read_client_queries_total", "The total number of remote read queries.",
          static_cast<double>(count),
          {{"code", code}, {"remote_name", endpoint->name}, {"url", endpoint->config->url}});
    }
  }
  for (const auto& endpoint : *all) {
    out.histogram("prometheus_remote_read_client_request_duration_seconds",
                  "Histogram of the latency for remote read requests.", endpoint->seconds,
                  {{"remote_name", endpoint->name}, {"url", endpoint->config->url}});
  }
}

}  // namespace tarsier::ingest
