#include "query/parse/token.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "base/quote.h"
#include "base/utf8.h"

namespace tarsier::query {

namespace {

using Keyword = std::pair<std::string_view, TokenKind>;

constexpr std::array kKeywords = {
    Keyword{"anchored", TokenKind::kAnchored},
    Keyword{"and", TokenKind::kAnd},
    Keyword{"atan2", TokenKind::kAtan2},
    Keyword{"avg", TokenKind::kAvg},
    Keyword{"bool", TokenKind::kBool},
    Keyword{"bottomk", TokenKind::kBottomk},
    Keyword{"by", TokenKind::kBy},
    Keyword{"count", TokenKind::kCount},
    Keyword{"count_values", TokenKind::kCountValues},
    Keyword{"end", TokenKind::kEndWord},
    Keyword{"fill", TokenKind::kFill},
    Keyword{"fill_left", TokenKind::kFillLeft},
    Keyword{"fill_right", TokenKind::kFillRight},
    Keyword{"group", TokenKind::kGroup},
    Keyword{"group_left", TokenKind::kGroupLeft},
    Keyword{"group_right", TokenKind::kGroupRight},
    Keyword{"ignoring", TokenKind::kIgnoring},
    Keyword{"inf", TokenKind::kNumber},
    Keyword{"limit_ratio", TokenKind::kLimitRatio},
    Keyword{"limitk", TokenKind::kLimitk},
    Keyword{"max", TokenKind::kMax},
    Keyword{"max_of", TokenKind::kMaxOf},
    Keyword{"min", TokenKind::kMin},
    Keyword{"min_of", TokenKind::kMinOf},
    Keyword{"nan", TokenKind::kNumber},
    Keyword{"offset", TokenKind::kOffset},
    Keyword{"on", TokenKind::kOn},
    Keyword{"or", TokenKind::kOr},
    Keyword{"quantile", TokenKind::kQuantile},
    Keyword{"range", TokenKind::kRange},
    Keyword{"smoothed", TokenKind::kSmoothed},
    Keyword{"start", TokenKind::kStartWord},
    Keyword{"stddev", TokenKind::kStddev},
    Keyword{"stdvar", TokenKind::kStdvar},
    Keyword{"step", TokenKind::kStep},
    Keyword{"sum", TokenKind::kSum},
    Keyword{"topk", TokenKind::kTopk},
    Keyword{"unless", TokenKind::kUnless},
    Keyword{"without", TokenKind::kWithout},
};
static_assert(std::ranges::is_sorted(kKeywords, {}, &Keyword::first));

/// The first ten characters.
std::string_view first_ten(std::string_view text) {
  std::size_t size = 0;
  for (int i = 0; i < 10 && size < text.size(); ++i) {
    size += std::max<std::size_t>(1, utf8_sequence_size(text.substr(size)));
  }
  return text.substr(0, size);
}

std::string quote_shortened(std::string_view text) {
  if (text.size() <= 10) return quote(text);
  return quote(first_ten(text)) + "...";
}

}  // namespace

bool can_be_metric_name(TokenKind k) {
  if (is_aggregation(k) || is_preprocessed_word(k)) return true;
  switch (k) {
    case TokenKind::kIdentifier:
    case TokenKind::kMetricIdentifier:
    case TokenKind::kAnd:
    case TokenKind::kOr:
    case TokenKind::kUnless:
    case TokenKind::kBy:
    case TokenKind::kWithout:
    case TokenKind::kOffset:
    case TokenKind::kAnchored:
    case TokenKind::kSmoothed:
    case TokenKind::kFill:
    case TokenKind::kFillLeft:
    case TokenKind::kFillRight: return true;
    default: return false;
  }
}

bool can_be_label_name(TokenKind k) {
  if (k == TokenKind::kWithout) return false;
  return can_be_metric_name(k) || is_keyword(k) || k == TokenKind::kAtan2;
}

TokenKind keyword_of(std::string_view word) {
  constexpr std::size_t kLongest = 12;  // count_values
  if (word.size() > kLongest) return TokenKind::kIdentifier;
  std::array<char, kLongest> lower;
  std::ranges::transform(word, lower.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  const std::string_view key(lower.data(), word.size());
  const auto found = std::ranges::lower_bound(kKeywords, key, {}, &Keyword::first);
  return found != kKeywords.end() && found->first == key ? found->second : TokenKind::kIdentifier;
}

std::string describe(const Token& token, std::string_view query) {
  const std::string_view text =
      query.substr(token.source.begin, token.source.end - token.source.begin);
  if (is_keyword(token.kind)) return fmt::format("<{}>", text);
  if (is_operator(token.kind)) return fmt::format("<op:{}>", text);
  if (is_aggregation(token.kind)) return fmt::format("<aggr:{}>", text);
  switch (token.kind) {
    case TokenKind::kEndOfInput: return "end of input";
    case TokenKind::kIdentifier: return "identifier " + quote(text);
    case TokenKind::kMetricIdentifier: return "metric identifier " + quote(text);
    case TokenKind::kNumber: return "number " + quote_shortened(text);
    case TokenKind::kDuration: return "duration " + quote_shortened(text);
    case TokenKind::kString: return "string " + quote_shortened(text);
    default: return quote_shortened(text);
  }
}

}  // namespace tarsier::query
