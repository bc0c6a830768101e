#include "ingest/otlp_metrics.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/compression.h"
#include "base/json_writer.h"
#include "ingest/otlp/model.h"
#include "ingest/otlp/translate.h"

namespace tarsier::ingest {
namespace {

constexpr std::string_view kProtobuf = "application/x-protobuf";
constexpr std::string_view kJson = "application/json";
constexpr Duration kRetryAfter = seconds(5);

std::string_view media_type(std::string_view header) {
  return trimmed(header.substr(0, header.find(';')));
}

HttpResponse plain(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(text) + "\n";
  return response;
}

HttpResponse storage_answer(const Status& status) {
  HttpResponse response = plain(503, status.message());
  response.headers.emplace_back("Retry-After", std::to_string(kRetryAfter.ms / 1000));
  return response;
}

/// ExportMetricsServiceResponse, with a partial success if something was rejected.
HttpResponse success(const OtlpOutcome& outcome, bool is_json) {
  HttpResponse response;
  response.content_type = is_json ? kJson : kProtobuf;
  if (is_json) response.body = "{}";
  if (outcome.rejected == 0) return response;
  if (is_json) {
    response.body = fmt::format(R"({{"partialSuccess":{{"rejectedDataPoints":"{}","errorMessage":)",
                                outcome.rejected);
    append_json_string(response.body, outcome.first_rejection);
    response.body += "}}";
    return response;
  }
  const auto put_varint = [](std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
    out += static_cast<char>(value);
  };
  std::string partial = "\x08";
  put_varint(partial, outcome.rejected);
  partial += '\x12';
  put_varint(partial, outcome.first_rejection.size());
  partial += outcome.first_rejection;
  response.body = "\x0A";
  put_varint(response.body, partial.size());
  response.body += partial;
  return response;
}

}  // namespace

bool otlp_translation_exists(const std::string& strategy) {
  static constexpr std::array<std::string_view, 4> kKnown = {
      "UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes",
      "NoUTF8EscapingWithSuffixes", "NoTranslation"};
  return std::find(kKnown.begin(), kKnown.end(), strategy) != kKnown.end();
}

struct OtlpMetricsReceiver::Impl {
  const WriteDoor door;
  const std::function<std::shared_ptr<const OtlpOptions>()> options;
  const Duration lookback;
  Logger& log;
  Counter requests;
  Counter requests_refused;
  Counter requests_failed;
  Counter points;
  Counter points_rejected;

  void handle(const HttpRequest& request, HttpResponder respond);
};

void OtlpMetricsReceiver::Impl::handle(const HttpRequest& request, HttpResponder respond) {
  requests.add();
  const auto refuse = [&](int status, std::string text) {
    requests_refused.add();
    log.warn("OTLP request refused", {{"peer", request.peer}, {"err", text}});
    respond(plain(status, std::move(text)));
  };
  const std::shared_ptr<const OtlpOptions> rules = options();
  const std::string type = ascii_lower(media_type(request.header("Content-Type")));
  const bool is_json = type == kJson;
  if (!is_json && type != kProtobuf) {
    return refuse(415, fmt::format("unsupported content type: {}, supported: {}, {}", type, kJson,
                                   kProtobuf));
  }
  const std::string encoding = ascii_lower(trimmed(request.header("Content-Encoding")));
  std::string unpacked;
  Status status;
  if (encoding == "gzip") {
    status = gzip_decompress(as_bytes(request.body), rules->body_bytes_max(), unpacked);
  } else if (encoding == "zstd") {
    status = zstd_decompress(as_bytes(request.body), rules->body_bytes_max(), unpacked);
  } else if (!encoding.empty() && encoding != "identity") {
    return refuse(415, fmt::format("unsupported compression: {}. Only \"gzip\", \"zstd\" or no "
                                   "compression supported",
                                   encoding));
  }
  if (!status.ok()) {
    return refuse(status.code() == Code::kLimit ? 413 : 400, status.message());
  }
  const std::string& body = unpacked.empty() ? request.body : unpacked;
  if (body.size() > rules->body_bytes_max()) {
    return refuse(413, fmt::format("request body of {} bytes is larger than {} bytes", body.size(),
                                   rules->body_bytes_max()));
  }
  Result<OtlpRequest> decoded = is_json ? decode_otlp_json(body, rules->points_max())
                                        : decode_otlp_protobuf(body, rules->points_max());
  if (!decoded.ok()) return refuse(400, decoded.status().message());

  const std::unique_ptr<tsdb::Appender> appender = door.appender();
  OtlpOutcome outcome;
  status = append_otlp(*decoded, *rules, lookback, *appender, outcome);
  tsdb::LogPosition position;
  if (status.ok()) {
    Result<tsdb::LogPosition> committed = appender->commit();
    if (committed.ok()) position = *committed;
    status = std::move(committed).status();
  } else {
    appender->rollback();
  }
  if (!status.ok()) {
    requests_failed.add();
    log.warn("OTLP request failed", {{"peer", request.peer}, {"err", status.message()}});
    return respond(storage_answer(status));
  }
  points.add(decoded->point_count - std::min(outcome.rejected, decoded->point_count));
  points_rejected.add(outcome.rejected);
  if (outcome.rejected > 0) {
    log.warn("OTLP request stored in part",
             {{"peer", request.peer}, {"err", outcome.first_rejection}});
  }
  // Captures no receiver: the answer may come after it is gone.
  door.when_synced(position, [respond = std::move(respond),
                              response = success(outcome, is_json)](const Status& synced) mutable {
    respond(synced.ok() ? std::move(response) : storage_answer(synced));
  });
}

OtlpMetricsReceiver::OtlpMetricsReceiver(
    WriteDoor door, std::function<std::shared_ptr<const OtlpOptions>()> options, Duration lookback,
    Logger& log)
    : impl_(new Impl{.door = std::move(door),
                     .options = std::move(options),
                     .lookback = lookback,
                     .log = log}) {}

OtlpMetricsReceiver::~OtlpMetricsReceiver() = default;

void OtlpMetricsReceiver::handle(HttpRequest request, HttpResponder respond) {
  impl_->handle(request, std::move(respond));
}

void OtlpMetricsReceiver::collect(MetricWriter& out) const {
  const auto counter = [&](std::string_view name, std::string_view help, const Counter& value) {
    out.counter(name, help, static_cast<double>(value.value()));
  };
  counter("tarsier_otlp_metrics_requests_total", "OTLP metrics requests received.",
          impl_->requests);
  counter("tarsier_otlp_metrics_requests_refused_total",
          "OTLP metrics requests refused as a whole: wrong headers, damage, limits.",
          impl_->requests_refused);
  counter("tarsier_otlp_metrics_requests_failed_total",
          "OTLP metrics requests that storage could not take.", impl_->requests_failed);
  counter("tarsier_otlp_metrics_points_total", "OTLP data points stored.", impl_->points);
  counter("tarsier_otlp_metrics_points_rejected_total",
          "OTLP data points rejected while the rest was stored.", impl_->points_rejected);
}

}  // namespace tarsier::ingest
