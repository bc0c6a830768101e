#include "alerting/template/pipeline_parser.h"

#include <utility>

#include "alerting/template/literal.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

bool starts_operand(TokenType type) {
  switch (type) {
    case TokenType::kBool:
    case TokenType::kCharacterConstant:
    case TokenType::kDot:
    case TokenType::kField:
    case TokenType::kIdentifier:
    case TokenType::kNumber:
    case TokenType::kNil:
    case TokenType::kRawString:
    case TokenType::kString:
    case TokenType::kVariable:
    case TokenType::kLeftParenthesis: return true;
    default: return false;
  }
}

}  // namespace

/// Reads `$x :=`, `$i, $x :=` or `$x =` if it is there.
Status PipelineParser::declarations(Node& pipe, std::string_view context) {
  while (in_.peek_word().type == TokenType::kVariable) {
    const std::size_t back = in_.position();
    const std::string name = in_.next().text;
    const Token& following = in_.peek_word();
    const bool is_comma = following.type == TokenType::kCharacter && following.text == ",";
    if (following.type != TokenType::kAssign && following.type != TokenType::kDeclare &&
        !is_comma) {
      in_.go_back(back);
      return {};
    }
    pipe.names.push_back(name);
    variables.push_back(name);
    pipe.assigns = following.type == TokenType::kAssign;
    in_.next();
    if (!is_comma) return {};
    if (context != "range" || pipe.names.size() > 1) {
      return in_.fail("too many declarations in " + std::string(context));
    }
    if (in_.peek_word().type != TokenType::kVariable) {
      return in_.fail("range can only initialize variables");
    }
  }
  return {};
}

Result<Node> PipelineParser::pipeline(std::string_view context, TokenType end) {
  TRY(in_.enter());
  Node pipe;
  pipe.type = NodeType::kPipe;
  pipe.position = in_.peek_word().position;
  TRY(declarations(pipe, context));
  for (;;) {
    const Token& token = in_.peek_word();
    if (token.type == end) {
      in_.next();
      TRY(check(pipe, context));
      in_.leave();
      return pipe;
    }
    if (!starts_operand(token.type)) return in_.unexpected(token, context);
    pipe.children.push_back(TRY(command()));
  }
}

Status PipelineParser::check(const Node& pipe, std::string_view context) const {
  if (pipe.children.empty()) return in_.fail("missing value for " + std::string(context));
  for (std::size_t i = 1; i < pipe.children.size(); ++i) {
    switch (pipe.children[i].children[0].type) {
      case NodeType::kBool:
      case NodeType::kDot:
      case NodeType::kNil:
      case NodeType::kNumber:
      case NodeType::kString:
        return in_.fail("non executable command in pipeline stage " + std::to_string(i + 1));
      default: break;
    }
  }
  return {};
}

Result<Node> PipelineParser::command() {
  Node node;
  node.type = NodeType::kCommand;
  node.position = in_.peek_word().position;
  for (;;) {
    in_.peek_word();
    if (starts_operand(in_.peek().type)) node.children.push_back(TRY(operand()));
    const Token& token = in_.peek();
    if (token.type == TokenType::kSpace) continue;
    if (token.type == TokenType::kPipe) {
      in_.next();
      break;
    }
    if (token.type == TokenType::kRightDelimiter || token.type == TokenType::kRightParenthesis) {
      break;
    }
    return in_.unexpected(token, "operand");
  }
  if (node.children.empty()) return in_.fail("empty command");
  return node;
}

Result<Node> PipelineParser::operand() {
  Node node = TRY(term());
  if (in_.peek().type != TokenType::kField) return node;
  const std::size_t position = in_.peek().position;
  std::vector<std::string> fields;
  while (in_.peek().type == TokenType::kField) fields.push_back(in_.next().text.substr(1));
  switch (node.type) {
    case NodeType::kField:
    case NodeType::kVariable:
      node.names.insert(node.names.end(), fields.begin(), fields.end());
      node.position = position;
      return node;
    case NodeType::kBool:
    case NodeType::kString:
    case NodeType::kNumber:
    case NodeType::kNil:
    case NodeType::kDot: return in_.fail("unexpected . after term " + quote(node_text(node)));
    default: break;
  }
  Node chain;
  chain.type = NodeType::kChain;
  chain.position = position;
  chain.names = std::move(fields);
  chain.children.push_back(std::move(node));
  return chain;
}

Result<Node> PipelineParser::term() {
  const Token& token = in_.next();
  Node node;
  node.position = token.position;
  node.text = token.text;
  switch (token.type) {
    case TokenType::kIdentifier:
      node.type = NodeType::kIdentifier;
      if (!is_function_(token.text)) {
        return in_.fail("function " + quote(token.text) + " not defined");
      }
      return node;
    case TokenType::kDot: node.type = NodeType::kDot; return node;
    case TokenType::kNil: node.type = NodeType::kNil; return node;
    case TokenType::kVariable:
      node.type = NodeType::kVariable;
      node.names = {token.text};
      for (const std::string& known : variables) {
        if (known == token.text) return node;
      }
      return in_.fail("undefined variable " + quote(token.text));
    case TokenType::kField:
      node.type = NodeType::kField;
      node.names = {token.text.substr(1)};
      return node;
    case TokenType::kBool:
      node.type = NodeType::kBool;
      node.integer = token.text == "true" ? 1 : 0;
      return node;
    case TokenType::kCharacterConstant:
    case TokenType::kNumber: return number(token);
    case TokenType::kString:
    case TokenType::kRawString: {
      node.type = NodeType::kString;
      node.source = token.text;
      Result<std::string> value = unquote_go(token.text);
      if (!value.ok()) return in_.fail(value.status().message());
      node.text = std::move(value).value();
      return node;
    }
    default: break;
  }
  // Only a parenthesis is left of what can start an operand.
  return pipeline("parenthesized pipeline", TokenType::kRightParenthesis);
}

Result<Node> PipelineParser::number(const Token& token) const {
  Node node;
  node.type = NodeType::kNumber;
  node.position = token.position;
  node.text = token.text;
  const Status status = token.type == TokenType::kCharacterConstant
                            ? read_character_constant(token.text, node)
                            : read_number(token.text, node);
  if (!status.ok()) return in_.fail(status.message());
  return node;
}

}  // namespace tarsier::alerting
