#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tarsier::alerting {

/// The JSON a webhook gets instead of version 4, as its configuration writes it: a tree whose texts
/// and names are templates. A plain value.
struct PayloadValue {
  enum class Kind : unsigned char { kText, kJson, kList, kMap };
  Kind kind = Kind::kText;
  std::string text;  ///< kText: a template. kJson: a number, `true`, `false` or `null` as it is.
  std::vector<PayloadValue> items;  ///< kList, and the members of a kMap in the order written.
  std::vector<std::string> names;   ///< kMap: parallel to `items`.

  /// Every template of the tree, names included.
  void for_each_template(const std::function<void(std::string_view)>& visit) const;
};

/// The payload as JSON, a line. A text that expands to JSON other than a string (a number, a list
/// that `toJson` made) stands there as such, as in Alertmanager.
std::string payload_json(const PayloadValue& payload,
                         const std::function<std::string(std::string_view)>& expand);

}  // namespace tarsier::alerting
