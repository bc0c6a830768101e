#include "alerting/alert_bytes.h"

#include <utility>
#include <vector>

namespace tarsier::alerting {

void put_labels(std::string& out, const tsdb::Labels& labels) {
  put_uvarint(out, labels.count());
  for (const tsdb::LabelView& label : labels) {
    put_string(out, label.name);
    put_string(out, label.value);
  }
}

Result<tsdb::Labels> read_labels(ByteReader& in) {
  const std::uint64_t count = in.uvarint();
  std::vector<tsdb::LabelView> views;
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const std::string_view name = in.string();
    const std::string_view value = in.string();
    views.push_back({name, value});
    const bool is_sorted = i == 0 || views[i - 1].name < name;
    if (!in.ok() || !is_sorted || value.empty()) return corruption("labels of an alert");
  }
  return tsdb::Labels::from_sorted(views);
}

void put_annotations(std::string& out, const Annotations& annotations) {
  put_uvarint(out, annotations.size());
  for (const auto& [name, value] : annotations) {
    put_string(out, name);
    put_string(out, value);
  }
}

Annotations read_annotations(ByteReader& in) {
  Annotations out;
  const std::uint64_t count = in.uvarint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    std::string name(in.string());
    out.emplace_back(std::move(name), in.string());
  }
  return out;
}

}  // namespace tarsier::alerting
