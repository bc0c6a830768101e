#include "ingest/remote/attachments.h"

#include <utility>
#include <variant>

#include <fmt/format.h>

#include "ingest/remote/wire_values.h"

namespace tarsier::ingest {
namespace {

using tsdb::AppendOutcome;

AppendOutcome append(tsdb::Appender& appender, tsdb::SeriesRef series, const WireHistogram& wire) {
  if (const auto* integers = std::get_if<tsdb::IntegerHistogram>(&wire.histogram)) {
    return appender.append_histogram(series, wire.t, *integers);
  }
  return appender.append_float_histogram(series, wire.t,
                                         std::get<tsdb::FloatHistogram>(wire.histogram));
}

}  // namespace

std::string refusal_text(AppendOutcome outcome, tsdb::Sample sample) {
  if (outcome == AppendOutcome::kDuplicate) {
    return fmt::format("duplicate sample for timestamp {}; overrides not allowed: new value {}",
                       sample.t.ms, sample.v);
  }
  return fmt::format("{} at timestamp {}", tsdb::append_outcome_text(outcome), sample.t.ms);
}

Status append_histograms(const WriteRequest& request, const AttachmentDoor& door,
                         Refusals& refusals, AttachmentCounts& counts) {
  for (const WireAttachment& attachment : request.histograms) {
    const std::size_t i = attachment.series;
    if (door.series[i].value == 0) {  // Named already, with its histograms.
      ++counts.histograms_refused;
      continue;
    }
    const auto refuse = [&](std::string_view reason) {
      ++counts.histograms_refused;
      const bool named = refusals.names_another();
      refusals.add(reason, named ? door.describe(i) : std::string(), 1);
    };
    Result<WireHistogram> wire = read_wire_histogram(attachment.message);
    if (!wire.ok()) {
      if (wire.status().code() != Code::kInvalid) return std::move(wire).status();
      refuse(wire.status().message());
      continue;
    }
    const tsdb::Sample sample{wire->t, tsdb::sum_of(wire->histogram)};
    if (wire->t > door.newest_allowed) {
      refuse(refusal_text(AppendOutcome::kOutOfBounds, sample));
      continue;
    }
    if (door.zeroes != nullptr && wire->start.ms != 0) {
      door.zeroes->add(door.series[i], wire->start, wire->t, wire->histogram);
    }
    AppendOutcome outcome = append(door.appender, door.series[i], *wire);
    if (outcome == AppendOutcome::kUnknownSeries) {
      TRY(door.resolve(i));
      if (door.series[i].value == 0) {
        ++counts.histograms_refused;
        continue;
      }
      outcome = append(door.appender, door.series[i], *wire);
    }
    switch (outcome) {
      case AppendOutcome::kAppended: ++counts.histograms_queued; break;
      case AppendOutcome::kIgnored: ++counts.histograms_repeated; break;
      case AppendOutcome::kUnknownSeries:
        return unavailable("storage dropped a series while it was written; send again");
      default: refuse(refusal_text(outcome, sample)); break;
    }
  }
  return {};
}

void append_exemplars(const WriteRequest& request, const AttachmentDoor& door,
                      AttachmentCounts& counts, std::string& first_error) {
  for (const WireAttachment& attachment : request.exemplars) {
    const tsdb::SeriesRef series = door.series[attachment.series];
    if (series.value == 0) {
      ++counts.exemplars_refused;
      continue;
    }
    Result<tsdb::Exemplar> exemplar = read_wire_exemplar(attachment.message);
    const AppendOutcome outcome =
        exemplar.ok() ? door.appender.append_exemplar(series, *exemplar) : AppendOutcome::kInvalid;
    if (outcome == AppendOutcome::kAppended || outcome == AppendOutcome::kIgnored) {
      ++counts.exemplars_queued;
      continue;
    }
    ++counts.exemplars_refused;
    if (outcome != AppendOutcome::kOutOfOrder) continue;
    if (counts.exemplars_out_of_order++ == 0) {
      first_error =
          fmt::format("out of order exemplar for series {}", door.describe(attachment.series));
    }
  }
}

}  // namespace tarsier::ingest
