#include "alerting/template/node.h"

#include "base/quote.h"

namespace tarsier::alerting {
namespace {

std::string joined(const std::vector<std::string>& names, std::string_view separator) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) out += separator;
    out += name;
  }
  return out;
}

std::string operand_text(const Node& node) {
  return node.type == NodeType::kPipe ? "(" + node_text(node) + ")" : node_text(node);
}

std::string command_text(const Node& node) {
  std::string out;
  for (const Node& operand : node.children) {
    if (!out.empty()) out += ' ';
    out += operand_text(operand);
  }
  return out;
}

std::string pipe_text(const Node& node) {
  std::string out = joined(node.names, ", ");
  if (!out.empty()) out += node.assigns ? " = " : " := ";
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    if (i > 0) out += " | ";
    out += command_text(node.children[i]);
  }
  return out;
}

std::string control_text(const Node& node, std::string_view word) {
  std::string out = "{{" + std::string(word) + " " + node_text(node.children[0]) + "}}" +
                    node_text(node.children[1]);
  if (node.children.size() > 2) out += "{{else}}" + node_text(node.children[2]);
  return out + "{{end}}";
}

}  // namespace

std::string node_text(const Node& node) {
  switch (node.type) {
    case NodeType::kList: {
      std::string out;
      for (const Node& child : node.children) out += node_text(child);
      return out;
    }
    case NodeType::kText:
    case NodeType::kIdentifier:
    case NodeType::kNumber: return node.text;
    case NodeType::kAction: return "{{" + node_text(node.children[0]) + "}}";
    case NodeType::kIf: return control_text(node, "if");
    case NodeType::kWith: return control_text(node, "with");
    case NodeType::kRange: return control_text(node, "range");
    case NodeType::kTemplate: {
      std::string out = "{{template " + quote(node.text);
      if (!node.children.empty()) out += " " + node_text(node.children[0]);
      return out + "}}";
    }
    case NodeType::kBreak: return "{{break}}";
    case NodeType::kContinue: return "{{continue}}";
    case NodeType::kPipe: return pipe_text(node);
    case NodeType::kCommand: return command_text(node);
    case NodeType::kField: return "." + joined(node.names, ".");
    case NodeType::kVariable: return joined(node.names, ".");
    case NodeType::kChain: return operand_text(node.children[0]) + "." + joined(node.names, ".");
    case NodeType::kDot: return ".";
    case NodeType::kNil: return "nil";
    case NodeType::kBool: return node.integer != 0 ? "true" : "false";
    case NodeType::kString: return node.source;
  }
  return "";
}

}  // namespace tarsier::alerting
