#include "alerting/template/lexer.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>

#include <fmt/format.h>

#include "base/quote.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

const std::map<std::string_view, TokenType> kKeywords = {
    {"block", TokenType::kBlock},
    {"break", TokenType::kBreak},
    {"continue", TokenType::kContinue},
    {"define", TokenType::kDefine},
    {"else", TokenType::kElse},
    {"end", TokenType::kEndKeyword},
    {"if", TokenType::kIf},
    {"nil", TokenType::kNil},
    {"range", TokenType::kRange},
    {"template", TokenType::kTemplate},
    {"with", TokenType::kWith},
    {"true", TokenType::kBool},
    {"false", TokenType::kBool},
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
// Every byte above ASCII counts as a letter: names in other scripts are rare, and a wrong one is
// refused as an undefined function anyway.
bool is_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || c == '_' || std::isalnum(byte) != 0;
}

class Lexer final {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> run() {
    while (!done_) {
      if (inside_) {
        inside_action();
      } else {
        outside();
      }
    }
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return text_.substr(position_); }
  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }
  bool at_end() const { return position_ >= text_.size(); }

  void emit(TokenType type, std::size_t start) {
    std::string text(text_.substr(start, position_ - start));
    tokens_.push_back({type, text, start, line_of(start)});
  }
  int line_of(std::size_t position) {
    line_ +=
        static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                    text_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    counted_ = position;
    return line_;
  }
  void fail(std::string why, std::size_t start) {
    tokens_.push_back(
        {TokenType::kError, std::move(why), start, line_of(std::max(start, counted_))});
    done_ = true;
  }

  bool has_left_trim(std::size_t at) const {
    return at + 1 < text_.size() && text_[at] == '-' && is_space(text_[at + 1]);
  }
  /// 0: none; 2: `}}`; 4: ` -}}`.
  std::size_t right_delimiter_size(std::size_t at) const {
    const std::string_view rest = text_.substr(std::min(at, text_.size()));
    if (rest.size() >= 4 && is_space(rest[0]) && rest[1] == '-' && rest.substr(2, 2) == "}}") {
      return 4;
    }
    return rest.starts_with("}}") ? 2 : 0;
  }
  void skip_spaces() {
    while (!at_end() && is_space(peek())) ++position_;
  }

  void outside() {
    const std::size_t start = position_;
    const std::size_t open = text_.find("{{", position_);
    std::size_t end = open == std::string_view::npos ? text_.size() : open;
    position_ = end;
    if (open != std::string_view::npos && has_left_trim(open + 2)) {
      while (end > start && is_space(text_[end - 1])) --end;
    }
    if (end > start) {
      const std::size_t after = position_;
      position_ = end;
      emit(TokenType::kText, start);
      position_ = after;
    }
    if (open == std::string_view::npos) {
      tokens_.push_back({TokenType::kEnd, "", position_, line_of(position_)});
      done_ = true;
      return;
    }
    left_delimiter();
  }

  void left_delimiter() {
    const std::size_t start = position_;
    const std::size_t marker = has_left_trim(start + 2) ? 2 : 0;
    if (text_.substr(start + 2 + marker).starts_with("/*")) return comment(start + 2 + marker);
    position_ += 2;
    emit(TokenType::kLeftDelimiter, start);
    position_ += marker;
    parentheses_ = 0;
    inside_ = true;
  }

  void comment(std::size_t start) {
    const std::size_t end = text_.find("*/", start + 2);
    if (end == std::string_view::npos) return fail("unclosed comment", start);
    const std::size_t delimiter = right_delimiter_size(end + 2);
    if (delimiter == 0) return fail("comment ends before closing delimiter", start);
    position_ = end + 2 + delimiter;
    if (delimiter == 4) skip_spaces();
  }

  void right_delimiter(std::size_t size) {
    position_ += size - 2;
    const std::size_t start = position_;
    position_ += 2;
    emit(TokenType::kRightDelimiter, start);
    if (size == 4) skip_spaces();
    inside_ = false;
  }

  void inside_action() {
    if (const std::size_t size = right_delimiter_size(position_); size > 0) {
      if (parentheses_ > 0) return fail("unclosed left paren", position_);
      return right_delimiter(size);
    }
    const std::size_t start = position_;
    if (at_end()) return fail("unclosed action", start);
    const char c = text_[position_];
    if (is_space(c)) return space();
    if (c == '"') return quoted('"', TokenType::kString, "unterminated quoted string");
    if (c == '\'') {
      return quoted('\'', TokenType::kCharacterConstant, "unterminated character constant");
    }
    if (c == '`') return raw_quoted();
    const char following = position_ + 1 < text_.size() ? text_[position_ + 1] : '\0';
    if (c == '$') return name(TokenType::kVariable, TokenType::kVariable);
    if (c == '.' && std::isdigit(static_cast<unsigned char>(following)) == 0) {
      return name(TokenType::kField, TokenType::kDot);
    }
    if (c == '.' || c == '+' || c == '-' || std::isdigit(static_cast<unsigned char>(c)) != 0) {
      return number();
    }
    if (is_word(c)) return word();
    ++position_;
    if (c == '=') return emit(TokenType::kAssign, start);
    if (c == ':') {
      if (following != '=') return fail("expected :=", start);
      ++position_;
      return emit(TokenType::kDeclare, start);
    }
    if (c == '|') return emit(TokenType::kPipe, start);
    if (c == '(') {
      ++parentheses_;
      return emit(TokenType::kLeftParenthesis, start);
    }
    if (c == ')') {
      if (--parentheses_ < 0) return fail("unexpected right paren", start);
      return emit(TokenType::kRightParenthesis, start);
    }
    if (std::isprint(static_cast<unsigned char>(c)) != 0) return emit(TokenType::kCharacter, start);
    fail("unrecognized character in action: " + unicode_name(start), start);
  }

  void space() {
    const std::size_t start = position_;
    // The last space may belong to ` -}}`.
    while (!at_end() && is_space(peek()) && right_delimiter_size(position_) == 0) ++position_;
    emit(TokenType::kSpace, start);
  }

  void quoted(char mark, TokenType type, std::string_view error) {
    const std::size_t start = position_++;
    while (!at_end() && peek() != mark) {
      if (peek() == '\n') return fail(std::string(error), start);
      if (peek() == '\\') {
        ++position_;
        if (at_end() || peek() == '\n') return fail(std::string(error), start);
      }
      ++position_;
    }
    if (at_end()) return fail(std::string(error), start);
    ++position_;
    emit(type, start);
  }

  void raw_quoted() {
    const std::size_t start = position_;
    const std::size_t end = text_.find('`', start + 1);
    if (end == std::string_view::npos) return fail("unterminated raw quoted string", start);
    position_ = end + 1;
    emit(TokenType::kRawString, start);
  }

  bool at_terminator() const {
    return at_end() || is_space(peek()) ||
           std::string_view(".,|:)(").find(peek()) != std::string_view::npos ||
           rest().starts_with("}}");
  }

  void name(TokenType type, TokenType when_alone) {
    const std::size_t start = position_++;
    const bool alone = at_terminator();
    while (!at_end() && is_word(peek())) ++position_;
    if (!at_terminator()) return fail("bad character " + unicode_name(position_), start);
    emit(alone ? when_alone : type, start);
  }

  void word() {
    const std::size_t start = position_;
    while (!at_end() && is_word(peek())) ++position_;
    if (!at_terminator()) return fail("bad character " + unicode_name(position_), start);
    const auto keyword = kKeywords.find(text_.substr(start, position_ - start));
    emit(keyword == kKeywords.end() ? TokenType::kIdentifier : keyword->second, start);
  }

  void number() {
    const std::size_t start = position_;
    const auto accept = [&](std::string_view set) {
      if (at_end() || set.find(peek()) == std::string_view::npos) return false;
      ++position_;
      return true;
    };
    const auto run = [&](std::string_view set) {
      while (accept(set)) {
      }
    };
    accept("+-");
    std::string_view digits = "0123456789_";
    bool hexadecimal = false;
    if (accept("0")) {
      if (accept("xX")) {
        digits = "0123456789abcdefABCDEF_";
        hexadecimal = true;
      } else if (accept("oO")) {
        digits = "01234567_";
      } else if (accept("bB")) {
        digits = "01_";
      }
    }
    run(digits);
    if (accept(".")) run(digits);
    if (accept(hexadecimal ? "pP" : "eE")) {
      accept("+-");
      run("0123456789_");
    }
    if (!at_end() && is_word(peek())) {
      ++position_;
      return fail("bad number syntax: " + quote(text_.substr(start, position_ - start)), start);
    }
    emit(TokenType::kNumber, start);
  }

  /// `U+0040 '@'`.
  std::string unicode_name(std::size_t at) const {
    const std::string_view from = text_.substr(at);
    const std::size_t size = std::max<std::size_t>(1, utf8_sequence_size(from));
    const auto first = static_cast<unsigned char>(from[0]);
    std::uint32_t point = size == 1 ? first : first & (0x7fu >> size);
    for (std::size_t i = 1; i < size; ++i) {
      point = point << 6 | (static_cast<unsigned char>(from[i]) & 0x3fu);
    }
    if (size == 1 && first >= 0x80) point = 0xfffd;
    const std::string code = fmt::format("U+{:04X}", point);
    return point < 0x20 || point == 0x7f ? code
                                         : code + " '" + std::string(from.substr(0, size)) + "'";
  }

  const std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t position_ = 0;
  std::size_t counted_ = 0;  // Lines before here are in line_.
  int line_ = 1;
  int parentheses_ = 0;
  bool inside_ = false;
  bool done_ = false;
};

}  // namespace

std::string describe(const Token& token) {
  if (token.type == TokenType::kEnd) return "EOF";
  if (token.type == TokenType::kError) return token.text;
  if (token.type >= TokenType::kNil) return "<" + token.text + ">";
  if (token.text.size() > 10) return quote(std::string_view(token.text).substr(0, 10)) + "...";
  return quote(token.text);
}

std::vector<Token> lex_template(std::string_view text) { return Lexer(text).run(); }

}  // namespace tarsier::alerting
