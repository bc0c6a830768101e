#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tarsier::server {

struct YamlEntry;

/// One value of a YAML document with the place it stands at. Aliases and merge keys (`<<`) are
/// already resolved, keys given twice are still there twice.
struct YamlNode {
  enum class Kind : unsigned char { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  std::string text;                ///< Of a scalar.
  bool is_plain = false;           ///< A scalar without quotes: may be a number or a boolean.
  int line = 1;                    ///< From 1.
  int column = 1;                  ///< From 1.
  std::vector<YamlNode> items;     ///< Of a sequence.
  std::vector<YamlEntry> entries;  ///< Of a map, in order.

  /// "!!map", "!!seq", "!!str", "!!null": how Go's error texts call it.
  std::string_view type_name() const;
};

struct YamlEntry {
  YamlNode first;  ///< The key.
  YamlNode second;
};

struct YamlLimits {
  std::size_t node_count_max = 1'000'000;  ///< After aliases: a small file can be a huge tree.
  int depth_max = 64;
};

/// Reads one document; an empty one is a null. kInvalid: `line 3: <why> (column 5)`. kLimit when it
/// is too large once its aliases are followed.
Result<YamlNode> parse_yaml(std::string_view text, const YamlLimits& limits = {});
/// The same for a file of several documents, between lines of `---`.
Result<std::vector<YamlNode>> parse_yaml_documents(std::string_view text,
                                                   const YamlLimits& limits = {});

/// `text` as a YAML scalar, quoted where a reader would otherwise not take it for this string.
std::string yaml_scalar(std::string_view text);

}  // namespace tarsier::server
