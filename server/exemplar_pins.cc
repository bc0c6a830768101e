#include "server/exemplar_pins.h"

#include <string_view>
#include <utility>
#include <vector>

namespace tarsier::server {
namespace {

/// Of one commit: a sender that links every sample to a trace of its own must not fill the buffer.
constexpr std::size_t kPinsMax = 1000;

constexpr std::string_view kTraceLabels[] = {"trace_id", "traceID", "traceId"};

class PinningAppender final : public tsdb::Appender {
 public:
  PinningAppender(std::unique_ptr<tsdb::Appender> inner, tracing::TracePins& pins)
      : inner_(std::move(inner)), pins_(pins) {}

  Result<tsdb::SeriesRef> resolve(const tsdb::Labels& labels) override {
    return inner_->resolve(labels);
  }
  tsdb::AppendOutcome append(tsdb::SeriesRef series, tsdb::Sample sample) override {
    return inner_->append(series, sample);
  }
  void append_batch(std::span<const tsdb::SeriesRef> series, std::span<const tsdb::Sample> samples,
                    std::span<tsdb::AppendOutcome> outcomes) override {
    inner_->append_batch(series, samples, outcomes);
  }
  tsdb::AppendOutcome append_histogram(tsdb::SeriesRef series, Timestamp t,
                                       tsdb::IntegerHistogram histogram) override {
    return inner_->append_histogram(series, t, std::move(histogram));
  }
  tsdb::AppendOutcome append_float_histogram(tsdb::SeriesRef series, Timestamp t,
                                             tsdb::FloatHistogram histogram) override {
    return inner_->append_float_histogram(series, t, std::move(histogram));
  }
  tsdb::AppendOutcome append_exemplar(tsdb::SeriesRef series,
                                      const tsdb::Exemplar& exemplar) override {
    const tsdb::AppendOutcome outcome = inner_->append_exemplar(series, exemplar);
    if (outcome == tsdb::AppendOutcome::kAppended && traces_.size() < kPinsMax) note(exemplar);
    return outcome;
  }
  void set_metadata(tsdb::SeriesRef series, const tsdb::Metadata& metadata) override {
    inner_->set_metadata(series, metadata);
  }
  tsdb::Labels labels_of(tsdb::SeriesRef series) const override {
    return inner_->labels_of(series);
  }
  Result<tsdb::LogPosition> commit() override {
    Result<tsdb::LogPosition> position = inner_->commit();
    const std::vector<tracing::TraceId> traces = std::exchange(traces_, {});
    if (position.ok() && !traces.empty()) {
      std::vector<tracing::PinOutcome> outcomes(traces.size());
      pins_.pin(traces, outcomes);
    }
    return position;
  }
  std::span<const tsdb::LateRefusal> refused_at_commit() const override {
    return inner_->refused_at_commit();
  }
  void rollback() override {
    traces_.clear();
    inner_->rollback();
  }
  void refuse_out_of_order() override { inner_->refuse_out_of_order(); }

 private:
  void note(const tsdb::Exemplar& exemplar) {
    for (const std::string_view name : kTraceLabels) {
      const std::string_view text = exemplar.labels.get(name);
      if (text.empty()) continue;
      if (const auto trace = tracing::parse_trace_id(text)) traces_.push_back(*trace);
      return;
    }
  }

  const std::unique_ptr<tsdb::Appender> inner_;
  tracing::TracePins& pins_;
  std::vector<tracing::TraceId> traces_;
};

}  // namespace

std::unique_ptr<tsdb::Appender> pin_exemplars(std::unique_ptr<tsdb::Appender> inner,
                                              tracing::TracePins& pins) {
  return std::make_unique<PinningAppender>(std::move(inner), pins);
}

}  // namespace tarsier::server
