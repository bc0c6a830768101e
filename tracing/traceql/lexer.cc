#include "tracing/traceql/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/utf8.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing::traceql {
namespace {

// Longer ones first.
constexpr std::array<std::string_view, 40> kSymbols = {
    "!>>", "!<<", "&>>", "&<<", ">>", "<<", "!>", "!<", "!~", "=~", "&&", "&~", "&>", "&<",
    ">=",  "<=",  "!=",  "||",  "{",  "}",  "(",  ")",  ",",  "|",  "=",  "<",  ">",  "~",
    "!",   "+",   "-",   "*",   "/",  "%",  "^",  ":",  ";",  "[",  "]",  "?"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

class Lexer final {
 public:
  explicit Lexer(std::string_view query) : query_(query) {}

  Result<std::vector<Token>> run() {
    std::vector<Token> out;
    for (;;) {
      while (!at_end() && static_cast<unsigned char>(peek()) <= ' ') ++at_;
      begin_ = at_;
      Token token = TRY(next());
      token.offset = begin_;
      token.text = query_.substr(begin_, at_ - begin_);
      const bool is_last = token.kind == TokenKind::kEnd;
      out.push_back(std::move(token));
      if (is_last) return out;
    }
  }

 private:
  bool at_end() const { return at_ >= query_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < query_.size() ? query_[at_ + ahead] : '\0';
  }
  Status fail(std::string_view what) const {
    return invalid(fmt::format("parse error at position {}: {}", begin_, what));
  }

  Result<Token> next() {
    if (at_end()) return Token{};
    const char c = peek();
    if (c == '"' || c == '`') return string();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (c == '.') return attribute({});
    if (is_letter(c)) return word();
    for (const std::string_view symbol : kSymbols) {
      if (!query_.substr(at_).starts_with(symbol)) continue;
      at_ += symbol.size();
      return Token{.kind = TokenKind::kSymbol};
    }
    return fail("unexpected character");
  }

  /// The name behind the scope's dot. REQUIRES: at the dot.
  Result<Token> attribute(Attribute attribute) {
    ++at_;
    if (attribute.of_parent) {
      for (const Scope scope : {Scope::kSpan, Scope::kResource}) {
        const std::string prefix = std::string(scope_name(scope)) + ".";
        if (!query_.substr(at_).starts_with(prefix)) continue;
        attribute.scope = scope;
        at_ += prefix.size();
        break;
      }
    }
    while (!at_end() && !ends_attribute_name(peek())) {
      if (peek() != '"') {
        attribute.name += query_[at_++];
        continue;
      }
      ++at_;
      while (!at_end() && peek() != '"') {
        if (peek() == '\\') ++at_;
        if (!at_end()) attribute.name += query_[at_++];
      }
      if (at_end()) return fail("the quoted part of an attribute has no end");
      ++at_;
    }
    if (attribute.name.empty()) return fail("an attribute has no name");
    return Token{.kind = TokenKind::kAttribute, .attribute = std::move(attribute)};
  }

  Result<Token> word() {
    const auto take_name = [&] {
      const std::size_t begin = at_;
      while (!at_end() && (is_letter(peek()) || is_digit(peek()))) ++at_;
      return query_.substr(begin, at_ - begin);
    };
    const std::string_view name = take_name();
    if (peek() == '.') {
      if (name == "parent") return attribute({.of_parent = true});
      if (const auto scope = scope_named(name)) return attribute({.scope = *scope});
      return fail(fmt::format("unknown scope {}", name));
    }
    if (peek() == ':' && is_letter(peek(1))) {
      ++at_;
      take_name();
      const std::string_view scoped = query_.substr(begin_, at_ - begin_);
      const auto intrinsic = intrinsic_named(scoped);
      if (!intrinsic) return fail(fmt::format("unknown intrinsic {}", scoped));
      return Token{.kind = TokenKind::kAttribute, .attribute = {.intrinsic = *intrinsic}};
    }
    if (const auto intrinsic = intrinsic_named(name)) {
      return Token{.kind = TokenKind::kAttribute, .attribute = {.intrinsic = *intrinsic}};
    }
    if (const auto literal = keyword_literal(name)) {
      return Token{.kind = TokenKind::kLiteral, .value = *literal};
    }
    return Token{.kind = TokenKind::kWord};
  }

  Result<Token> number() {
    const std::size_t begin = at_;
    bool has_point = false;
    while (is_digit(peek()) || (peek() == '.' && is_digit(peek(1)) && !has_point)) {
      has_point = has_point || peek() == '.';
      ++at_;
    }
    if (peek() == '.' && !has_point) {
      has_point = true;
      ++at_;
    }
    const bool has_exponent =
        (peek() == 'e' || peek() == 'E') &&
        (is_digit(peek(1)) || ((peek(1) == '-' || peek(1) == '+') && is_digit(peek(2))));
    if (has_exponent) {
      at_ += 2;
      while (is_digit(peek())) ++at_;
    } else if (is_letter(peek()) || static_cast<unsigned char>(peek()) >= 0x80) {
      return duration(begin);
    }
    const std::string_view text = query_.substr(begin, at_ - begin);
    Token token{.kind = TokenKind::kLiteral};
    const char* end = text.data() + text.size();
    if (has_point || has_exponent) {
      token.value.type = StaticType::kFloat;
      const auto [p, error] = std::from_chars(text.data(), end, token.value.real);
      if (error != std::errc{} || p != end) return fail("a number out of range");
    } else {
      token.value.type = StaticType::kInt;
      const auto [p, error] = std::from_chars(text.data(), end, token.value.number);
      if (error != std::errc{} || p != end) return fail("an integer out of range");
    }
    return token;
  }

  Result<Token> duration(std::size_t begin) {
    while (is_letter(peek()) || is_digit(peek()) || static_cast<unsigned char>(peek()) >= 0x80 ||
           (peek() == '.' && is_digit(peek(1)))) {
      ++at_;
    }
    const std::string_view text = query_.substr(begin, at_ - begin);
    const auto nanoseconds = parse_duration_ns(text);
    if (!nanoseconds) return fail(fmt::format("not a number and no duration: {}", text));
    return Token{.kind = TokenKind::kLiteral,
                 .value = {.type = StaticType::kDuration, .number = *nanoseconds}};
  }

  Result<Token> string() {
    const char mark = query_[at_++];
    Token token{.kind = TokenKind::kLiteral, .value = {.type = StaticType::kString}};
    while (!at_end() && peek() != mark) {
      if (peek() == '\\' && mark == '"') {
        TRY(escape(token.value.text));
      } else if (peek() == '\n' && mark == '"') {
        return fail("a string with a line break");
      } else {
        token.value.text += query_[at_++];
      }
    }
    if (at_end()) return fail("a string has no end");
    ++at_;
    return token;
  }

  Status escape(std::string& out) {
    constexpr std::string_view kNames = "abfnrtv\\\"'";
    constexpr std::string_view kValues = "\a\b\f\n\r\t\v\\\"'";
    ++at_;
    const char c = peek();
    if (const std::size_t i = kNames.find(c); i != std::string_view::npos && !at_end()) {
      out += kValues[i];
      ++at_;
      return {};
    }
    if (c == 'x') return code_point(1, 2, 16, out);
    if (c == 'u') return code_point(1, 4, 16, out);
    if (c == 'U') return code_point(1, 8, 16, out);
    if (c >= '0' && c <= '7') return code_point(0, 3, 8, out);
    return fail("unknown escape in a string");
  }

  Status code_point(std::size_t skip, std::size_t digits, int base, std::string& out) {
    at_ += skip;
    const std::string_view text = query_.substr(std::min(at_, query_.size()), digits);
    std::uint32_t code = 0;
    const auto [p, error] = std::from_chars(text.data(), text.data() + text.size(), code, base);
    if (text.size() != digits || error != std::errc{} || p != text.data() + digits) {
      return fail("a broken escape in a string");
    }
    at_ += digits;
    if (digits <= 3) {
      if (code > 0xFF) return fail("a broken escape in a string");
      out += static_cast<char>(code);
    } else if (!append_utf8(out, code)) {
      return fail("an escape that is no character");
    }
    return {};
  }

  const std::string_view query_;
  std::size_t at_ = 0;
  std::size_t begin_ = 0;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view query) { return Lexer(query).run(); }

std::optional<Attribute> parse_attribute(std::string_view text) {
  const Result<std::vector<Token>> tokens = tokenize(text);
  if (!tokens.ok() || tokens->size() != 2 || (*tokens)[0].kind != TokenKind::kAttribute ||
      (*tokens)[0].text.size() != text.size()) {
    return std::nullopt;
  }
  return (*tokens)[0].attribute;
}

}  // namespace tarsier::tracing::traceql
