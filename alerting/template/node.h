#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tarsier::alerting {

enum class NodeType : unsigned char {
  kList,      ///< children: what stands one after another.
  kText,      ///< text: copied to the output.
  kAction,    ///< children[0]: a pipe whose value is printed.
  kIf,        ///< children: pipe, list, and the list of `else` if there is one.
  kWith,      ///< As kIf.
  kRange,     ///< As kIf.
  kTemplate,  ///< text: the template's name; children[0]: its pipe, if any.
  kBreak,
  kContinue,
  kPipe,        ///< children: commands; names: variables it declares or assigns.
  kCommand,     ///< children: the operands; the first may be a function.
  kIdentifier,  ///< text: a function's name.
  kField,       ///< names: `.a.b`.
  kVariable,    ///< names: `$a`, then fields.
  kChain,       ///< children[0]: a term; names: fields after it.
  kDot,
  kNil,
  kBool,    ///< integer: 0 or 1.
  kNumber,  ///< text as written; integer and real as far as they fit.
  kString,  ///< text: the value; source: as written, with quotes.
};

/// One node of a parsed template: what Go's text/template/parse calls by twenty types.
struct Node {
  NodeType type = NodeType::kList;
  std::size_t position = 0;  ///< Byte offset into the text it was parsed from.
  std::string text;
  std::string source;
  std::vector<std::string> names;
  std::vector<Node> children;
  bool assigns = false;  ///< Of a pipe: `=` instead of `:=`.
  bool is_integer = false;
  bool is_real = false;
  std::int64_t integer = 0;
  double real = 0;
};

/// The node as a template would be written: what stands between `<` and `>` in error texts.
std::string node_text(const Node& node);

/// One parsed template: the text itself, or one `define` inside it.
struct TemplateTree {
  std::string name;
  std::string parse_name;                   ///< Of the text it was found in.
  std::shared_ptr<const std::string> text;  ///< Positions are offsets into it.
  Node root;
};

/// Templates by name: the first parsed text and whatever it and others define.
using TemplateTrees = std::map<std::string, std::shared_ptr<const TemplateTree>, std::less<>>;

}  // namespace tarsier::alerting
