#include "base/metric.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/check.h"

namespace tarsier {
namespace {

void append_number(std::string& out, double v) {
  if (std::isnan(v)) {
    out += "NaN";
  } else if (std::isinf(v)) {
    out += v > 0 ? "+Inf" : "-Inf";
  } else {
    char buffer[32];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, v).ptr);
  }
}

void append_escaped(std::string& out, std::string_view text, bool escape_quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && escape_quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

}  // namespace

HistogramMetric::HistogramMetric(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
  CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void HistogramMetric::observe(double v) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), v);
  counts_[static_cast<std::size_t>(bound - bounds_.begin())].fetch_add(1,
                                                                       std::memory_order_relaxed);
  sum_.add(v);
}

std::uint64_t HistogramMetric::cumulative_count(std::size_t i) const {
  std::uint64_t count = 0;
  for (std::size_t j = 0; j <= i && j < counts_.size(); ++j) {
    count += counts_[j].load(std::memory_order_relaxed);
  }
  return count;
}

void MetricWriter::header(std::string_view name, std::string_view help, std::string_view type) {
  if (family_ == name) return;
  family_ = name;
  out_ += "# HELP ";
  out_ += name;
  out_ += ' ';
  append_escaped(out_, help, false);
  out_ += "\n# TYPE ";
  out_ += name;
  out_ += ' ';
  out_ += type;
  out_ += '\n';
}

void MetricWriter::sample(std::string_view name, std::string_view suffix, MetricLabels labels,
                          OwnLabel own_label, double value) {
  out_ += name;
  out_ += suffix;
  char separator = '{';
  const auto append_label = [&](std::string_view key, std::string_view text) {
    out_ += separator;
    separator = ',';
    out_ += key;
    out_ += "=\"";
    append_escaped(out_, text, true);
    out_ += '"';
  };
  for (const auto& [key, text] : labels) append_label(key, text);
  if (!own_label.first.empty()) append_label(own_label.first, own_label.second);
  if (separator == ',') out_ += '}';
  out_ += ' ';
  append_number(out_, value);
  out_ += '\n';
}

void MetricWriter::counter(std::string_view name, std::string_view help, double value,
                           MetricLabels labels) {
  header(name, help, "counter");
  sample(name, "", labels, {}, value);
}

void MetricWriter::gauge(std::string_view name, std::string_view help, double value,
                         MetricLabels labels) {
  header(name, help, "gauge");
  sample(name, "", labels, {}, value);
}

void MetricWriter::histogram(std::string_view name, std::string_view help,
                             const HistogramMetric& histogram, MetricLabels labels) {
  header(name, help, "histogram");
  const std::vector<double>& bounds = histogram.bounds();
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    std::string le;
    append_number(le, bounds[i]);
    sample(name, "_bucket", labels, {"le", le}, static_cast<double>(histogram.cumulative_count(i)));
  }
  const auto total = static_cast<double>(histogram.cumulative_count(bounds.size()));
  sample(name, "_bucket", labels, {"le", "+Inf"}, total);
  sample(name, "_sum", labels, {}, histogram.sum());
  sample(name, "_count", labels, {}, total);
}

void MetricWriter::summary(std::string_view name, std::string_view help,
                           const SummaryMetric& summary, std::initializer_list<double> quantiles,
                           Timestamp now, MetricLabels labels) {
  header(name, help, "summary");
  for (const double q : quantiles) {
    std::string text;
    append_number(text, q);
    sample(name, "", labels, {"quantile", text}, summary.quantile(q, now));
  }
  sample(name, "_sum", labels, {}, summary.sum());
  sample(name, "_count", labels, {}, static_cast<double>(summary.count()));
}

}  // namespace tarsier
