#include "server/yaml.h"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/ascii.h"
#include "base/json_writer.h"
#include "base/utf8.h"

namespace tarsier::server {
namespace {

/// Copies yaml-cpp's graph into a tree. Throws nothing of its own; yaml-cpp may.
class Converter final {
 public:
  explicit Converter(const YamlLimits& limits) : limits_(limits) {}

  Result<YamlNode> convert(const YAML::Node& from, int depth) {
    if (++node_count_ > limits_.node_count_max || depth > limits_.depth_max) {
      return limit_exceeded("the document is too large or too deep");
    }
    YamlNode node;
    // An empty document has no place.
    node.line = std::max(from.Mark().line, 0) + 1;
    node.column = std::max(from.Mark().column, 0) + 1;
    switch (from.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: break;
      case YAML::NodeType::Scalar: {
        node.kind = YamlNode::Kind::kScalar;
        node.text = from.Scalar();
        node.is_plain = from.Tag() == "?";
        break;
      }
      case YAML::NodeType::Sequence: {
        node.kind = YamlNode::Kind::kSequence;
        for (const YAML::Node& item : from) node.items.push_back(TRY(convert(item, depth + 1)));
        break;
      }
      case YAML::NodeType::Map: {
        node.kind = YamlNode::Kind::kMap;
        TRY(convert_entries(from, depth, node));
        break;
      }
    }
    return node;
  }

 private:
  Status convert_entries(const YAML::Node& from, int depth, YamlNode& node) {
    std::vector<YamlNode> merged;
    for (const auto& entry : from) {
      YamlNode key = TRY(convert(entry.first, depth + 1));
      YamlNode value = TRY(convert(entry.second, depth + 1));
      const bool is_merge = key.kind == YamlNode::Kind::kScalar && key.is_plain && key.text == "<<";
      if (is_merge) {
        merged.push_back(std::move(value));
      } else {
        node.entries.push_back({std::move(key), std::move(value)});
      }
    }
    for (YamlNode& value : merged) TRY(merge(std::move(value), node));
    return {};
  }

  /// What the map says itself wins over what is merged, what is merged first over what comes later.
  static Status merge(YamlNode value, YamlNode& node) {
    if (value.kind == YamlNode::Kind::kSequence) {
      for (YamlNode& item : value.items) TRY(merge(std::move(item), node));
      return {};
    }
    if (value.kind != YamlNode::Kind::kMap) {
      return invalid(fmt::format("line {}: map merge requires map or sequence of maps as the value",
                                 value.line));
    }
    for (auto& entry : value.entries) {
      const bool has_own =
          std::any_of(node.entries.begin(), node.entries.end(),
                      [&](const auto& own) { return own.first.text == entry.first.text; });
      if (!has_own) node.entries.push_back(std::move(entry));
    }
    return {};
  }

  const YamlLimits limits_;
  std::size_t node_count_ = 0;
};

constexpr std::array kWordsWithMeaning = {"true", "false", "yes",  "no", "on", "off",
                                          "y",    "n",     "null", "~",  ""};

bool reads_as_itself(std::string_view text) {
  const std::string lower = ascii_lower(text);
  if (std::find(kWordsWithMeaning.begin(), kWordsWithMeaning.end(), lower) !=
      kWordsWithMeaning.end()) {
    return false;
  }
  const auto is_ordinary = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '/' || c == '.' || c == '-' || c == ':' || c == '(' || c == ')' || c == '$' ||
           c == ';' || c == '+' || c == '*' || c == '<' || c == '>' || c == '=';
  };
  if (!std::all_of(text.begin(), text.end(), is_ordinary)) return false;
  if (text.ends_with(':')) return false;
  const char first = text[0];
  // A digit or a sign may begin a number, a date or a list.
  const bool is_letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
  if (is_letter || first == '_' || first == '/' || first == '$' || first == '(') return true;
  if (text == "<secret>") return true;
  const bool is_digit = first >= '0' && first <= '9';
  const bool has_letter = std::any_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z' && c != 'e') || (c >= 'A' && c <= 'Z' && c != 'E');
  });
  return is_digit && has_letter && !text.starts_with("0x") && !text.starts_with("0o");
}

}  // namespace

std::string_view YamlNode::type_name() const {
  switch (kind) {
    case Kind::kNull: return "!!null";
    case Kind::kScalar: return "!!str";
    case Kind::kSequence: return "!!seq";
    case Kind::kMap: return "!!map";
  }
  return "!!null";
}

Result<YamlNode> parse_yaml(std::string_view text, const YamlLimits& limits) {
  if (!is_valid_utf8(text)) return invalid("the file is not valid UTF-8");
  try {
    return Converter(limits).convert(YAML::Load(std::string(text)), 0);
  } catch (const YAML::Exception& e) {
    return invalid(fmt::format("line {}: {} (column {})", std::max(e.mark.line, 0) + 1, e.msg,
                               std::max(e.mark.column, 0) + 1));
  }
}

Result<std::vector<YamlNode>> parse_yaml_documents(std::string_view text,
                                                   const YamlLimits& limits) {
  if (!is_valid_utf8(text)) return invalid("the file is not valid UTF-8");
  try {
    Converter converter(limits);  // The limits are of all documents together.
    std::vector<YamlNode> out;
    for (const YAML::Node& document : YAML::LoadAll(std::string(text))) {
      out.push_back(TRY(converter.convert(document, 0)));
    }
    return out;
  } catch (const YAML::Exception& e) {
    return invalid(fmt::format("line {}: {} (column {})", std::max(e.mark.line, 0) + 1, e.msg,
                               std::max(e.mark.column, 0) + 1));
  }
}

std::string yaml_scalar(std::string_view text) {
  if (reads_as_itself(text)) return std::string(text);
  std::string out;
  append_json_string(out, text);  // JSON strings are YAML's double-quoted ones.
  return out;
}

}  // namespace tarsier::server
