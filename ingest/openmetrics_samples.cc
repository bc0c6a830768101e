#include "ingest/openmetrics_samples.h"

#include "ingest/exposition/openmetrics.h"

namespace tarsier::ingest {

Status read_openmetrics_samples(std::string_view text,
                                const std::function<Status(const TextSample&)>& take) {
  OpenMetricsParser parser(text);
  ExposedLabels exposed;
  TextSample out;
  out.labels = [&]() -> Result<tsdb::Labels> {
    TRY(parser.labels(parser.sample(), exposed));
    tsdb::LabelsBuilder builder;
    for (const tsdb::LabelView& label : exposed.views()) builder.set(label.name, label.value);
    return builder.build();
  };
  for (;;) {
    switch (parser.next()) {
      case EntryKind::kEnd: return {};
      case EntryKind::kError: return parser.status();
      case EntryKind::kSeries: {
        const ExposedSample& sample = parser.sample();
        if (!sample.has_time) {
          const Result<tsdb::Labels> labels = out.labels();
          return invalid("expected timestamp for series " +
                         (labels.ok() ? labels->to_string() : std::string(sample.section)) +
                         ", got none");
        }
        out.section = sample.section;
        out.sample = {Timestamp{sample.time_ms}, sample.value};
        TRY(take(out));
        break;
      }
      default: break;
    }
  }
}

}  // namespace tarsier::ingest
