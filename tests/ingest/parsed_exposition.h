#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ingest/exposition/entry.h"
#include "ingest/exposition/label_section.h"

namespace tarsier::ingest {

/// Everything a parser finds, one line each, so that a test compares text with text. Labels are
/// parsed for every series. Ends with `error: ...` if the input is wrong.
template <typename Parser>
std::string parsed(std::string_view body) {
  Parser parser(body);
  ExposedLabels labels;
  std::string out;
  for (;;) {
    const EntryKind kind = parser.next();
    switch (kind) {
      case EntryKind::kEnd: return out;
      case EntryKind::kError: return out + "error: " + parser.status().message() + "\n";
      case EntryKind::kComment: out += "comment\n"; break;
      case EntryKind::kType:
        out += fmt::format("type {} {}\n", parser.metadata().family,
                           tsdb::metric_type_name(parser.metadata().type));
        break;
      case EntryKind::kHelp:
        out += fmt::format("help {} [{}]\n", parser.metadata().family, parser.help());
        break;
      case EntryKind::kUnit:
        out += fmt::format("unit {} [{}]\n", parser.metadata().family, parser.metadata().text);
        break;
      case EntryKind::kHistogram: break;  // No text has them.
      case EntryKind::kSeries: {
        const ExposedSample& sample = parser.sample();
        if (const Status status = parser.labels(sample, labels); !status.ok()) {
          return out + "error: " + status.message() + "\n";
        }
        for (const tsdb::LabelView& label : labels.views()) {
          out += label.name == tsdb::kMetricName ? fmt::format("{}", label.value)
                                                 : fmt::format(" {}=[{}]", label.name, label.value);
        }
        out += fmt::format(" -> {}", sample.value);
        if (sample.has_time) out += fmt::format(" @{}", sample.time_ms);
        if constexpr (requires { parser.exemplar(); }) {
          if (sample.has_exemplar) {
            out += fmt::format(" # {} {}", parser.exemplar().braces, parser.exemplar().value);
            if (parser.exemplar().has_time) out += fmt::format(" @{}", parser.exemplar().time_ms);
          }
        }
        out += "\n";
        break;
      }
    }
  }
}

struct ParseCase {
  std::string input;
  std::string want;
};

}  // namespace tarsier::ingest
