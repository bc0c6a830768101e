#include "server/remote_source.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/compression.h"
#include "base/keyed_hash.h"
#include "base/protobuf_reader.h"
#include "ingest/remote_write.h"
#include "server/clock.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kAnswerBytesMax = std::size_t{4} << 30;

// remote.proto: ReadRequest.queries, Query, LabelMatcher, ReadResponse.results.
void put_bytes_field(std::string& out, std::uint32_t field, std::string_view bytes) {
  put_uvarint(out, field << 3 | ProtobufReader::kBytes);
  put_string(out, bytes);
}
void put_number_field(std::string& out, std::uint32_t field, std::int64_t number) {
  put_uvarint(out, field << 3 | ProtobufReader::kVarint);
  put_uvarint(out, static_cast<std::uint64_t>(number));
}

int matcher_type(tsdb::MatchOp op) {
  switch (op) {
    case tsdb::MatchOp::kEqual: return 0;
    case tsdb::MatchOp::kNotEqual: return 1;
    case tsdb::MatchOp::kRegex: return 2;
    case tsdb::MatchOp::kNotRegex: return 3;
  }
  return 0;
}

/// Appends the samples of both kinds in time order. What is there already stays.
void append_mixed(tsdb::Appender& appender, tsdb::SeriesRef ref, const tsdb::SampleColumns& floats,
                  const tsdb::HistogramColumns& histograms) {
  std::size_t f = 0;
  std::size_t h = 0;
  while (f < floats.size() || h < histograms.size()) {
    const bool is_float = h == histograms.size() ||
                          (f < floats.size() && floats.times_ms[f] < histograms.times_ms[h]);
    if (is_float) {
      static_cast<void>(appender.append(ref, {.t = {floats.times_ms[f]}, .v = floats.values[f]}));
      ++f;
    } else {
      static_cast<void>(
          appender.append_float_histogram(ref, {histograms.times_ms[h]}, histograms.at(h)));
      ++h;
    }
  }
}

/// Copies a selection, without the labels in `left_out` where they have the same value.
Status copy_series(const tsdb::SeriesSet& from, TimeRange range, const tsdb::Labels& left_out,
                   tsdb::Db& to) {
  const std::unique_ptr<tsdb::Appender> appender = to.appender();
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < from.size(); ++i) {
    builder.reset(from.labels(i));
    for (const tsdb::LabelView& label : left_out) {
      if (builder.get(label.name) == label.value) builder.remove(label.name);
    }
    tsdb::SampleColumns floats;
    tsdb::HistogramColumns histograms;
    TRY(from.read_mixed(i, range, floats, histograms));
    append_mixed(*appender, TRY(appender->resolve(builder.build())), floats, histograms);
  }
  return std::move(appender->commit()).status();
}

}  // namespace

class RemoteSource::View final : public tsdb::Querier {
 public:
  explicit View(RemoteSource& source) : source_(source) {}

  Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& matchers,
                                                  const tsdb::SelectHints& hints,
                                                  const CancelToken* /*cancel*/) const override {
    return source_.fetch(matchers, hints);
  }
  Result<std::vector<std::string>> label_names(
      const std::vector<tsdb::Matcher>& /*matchers*/) const override {
    return invalid("remote read lists no labels");
  }
  Result<std::vector<std::string>> label_values(
      std::string_view /*name*/, const std::vector<tsdb::Matcher>& /*matchers*/) const override {
    return invalid("remote read lists no labels");
  }

 private:
  RemoteSource& source_;
};

Result<std::unique_ptr<tsdb::Querier>> RemoteSource::querier(TimeRange /*range*/) {
  return std::make_unique<View>(*this);
}

std::string read_request(const std::vector<tsdb::Matcher>& matchers, TimeRange range) {
  std::string query;
  put_number_field(query, 1, range.min.ms);
  put_number_field(query, 2, range.max.ms);
  for (const tsdb::Matcher& matcher : matchers) {
    std::string one;
    put_number_field(one, 1, matcher_type(matcher.op()));
    put_bytes_field(one, 2, matcher.name());
    put_bytes_field(one, 3, matcher.value());
    put_bytes_field(query, 3, one);
  }
  std::string out;
  put_bytes_field(out, 1, query);
  return out;
}

Status RemoteSource::fetch_into(tsdb::Db& db, const std::vector<tsdb::Matcher>& matchers,
                                TimeRange range) {
  HttpFetch fetch{.url = doors_.url + "/api/v1/read",
                  .headers = {{"Content-Type", "application/x-protobuf"},
                              {"Content-Encoding", "snappy"},
                              {"X-Prometheus-Remote-Read-Version", "0.1.0"}},
                  .method = "POST",
                  .timeout = minutes(3)};
  snappy_compress(as_bytes(read_request(matchers, range)), fetch.body);
  const HttpResponse response = TRY(doors_.ask(std::move(fetch)));
  if (response.status != 200) {
    return unavailable(fmt::format("remote read: {}: {}", response.status, response.body));
  }
  std::string text;
  TRY(snappy_decompress(as_bytes(response.body), kAnswerBytesMax, text));
  ingest::RemoteWriteOptions options;
  options.body_bytes_max = options.decompressed_bytes_max = kAnswerBytesMax;
  options.samples_per_request_max = std::numeric_limits<std::uint32_t>::max();
  ingest::RemoteWriteReceiver receiver(
      {.appender = [&db] { return db.appender(); },
       .when_synced = [](tsdb::LogPosition, const std::function<void(Status)>& done) { done({}); }},
      options, draw_hash_key(), doors_.log);
  ProtobufReader results(text);
  while (results.next()) {
    if (results.field() != 1 || results.type() != ProtobufReader::kBytes) continue;
    // A result's series stand in it as in a write request.
    HttpRequest request;
    request.method = "POST";
    request.received = now();
    request.headers = {{"Content-Type", "application/x-protobuf"}, {"Content-Encoding", "snappy"}};
    snappy_compress(as_bytes(results.bytes()), request.body);
    Status outcome;
    receiver.handle(std::move(request), [&](const HttpResponse& answer) {
      if (answer.status / 100 != 2) outcome = corruption("remote read: " + answer.body);
    });
    TRY(Status(outcome));
  }
  return results.ok() ? Status() : corruption("the answer of a remote read is damaged");
}

Result<std::unique_ptr<tsdb::SeriesSet>> RemoteSource::fetch(
    const std::vector<tsdb::Matcher>& matchers, const tsdb::SelectHints& hints) {
  std::unique_ptr<ScratchDb> scratch =
      TRY(ScratchDb::open(doors_.files, doors_.log, ScratchDb::Order::kAny));
  TRY(fetch_into(scratch->db(), matchers, hints.range));
  if (!doors_.external_labels.empty()) {
    std::unique_ptr<ScratchDb> plain =
        TRY(ScratchDb::open(doors_.files, doors_.log, ScratchDb::Order::kAny));
    const auto querier = TRY(scratch->db().querier(hints.range));
    const auto all = TRY(querier->select(matchers, {.range = hints.range}, nullptr));
    TRY(copy_series(*all, hints.range, doors_.external_labels, plain->db()));
    fetched_.push_back(std::move(scratch));
    scratch = std::move(plain);
  }
  const auto recorded = TRY(doors_.recorded.querier(hints.range));
  const auto own = TRY(recorded->select(matchers, {.range = hints.range}, nullptr));
  TRY(copy_series(*own, hints.range, {}, scratch->db()));
  const auto querier = TRY(scratch->db().querier(hints.range));
  auto out = TRY(querier->select(matchers, hints, nullptr));
  fetched_.push_back(std::move(scratch));
  return out;
}

}  // namespace tarsier::server
