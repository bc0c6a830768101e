#include "query/parse.h"

#include <utility>

#include <fmt/format.h>

#include "query/parse/parser.h"
#include "query/parse/type_check.h"

namespace tarsier::query {

namespace {

Status refuse(ParseError error, ParseError* out) {
  Status status = invalid(error.to_string());
  if (out) *out = std::move(error);
  return status;
}

Status refuse_length(std::size_t length, std::size_t length_max, ParseError* out) {
  return refuse({.position = {},
                 .range = {},
                 .message = fmt::format("query of {} bytes is longer than the {} allowed", length,
                                        length_max)},
                out);
}

}  // namespace

std::string ParseError::to_string() const {
  if (position.line == 0) return "unknown position: parse error: " + message;
  return fmt::format("{}:{}: parse error: {}", position.line, position.column, message);
}

Result<ExprPtr> parse_expression(std::string_view query, const ParseOptions& options,
                                 ParseError* error) {
  if (query.size() > options.length_max) {
    return refuse_length(query.size(), options.length_max, error);
  }
  Parser parser(query, options);
  Result<ExprPtr> parsed = parser.parse_whole_expression();
  if (!parsed.ok()) return refuse(parser.error(), error);
  if (std::optional<TypeError> wrong = check_types(**parsed, query)) {
    return refuse({.position = position_of(query, wrong->range.begin),
                   .range = wrong->range,
                   .message = std::move(wrong->message)},
                  error);
  }
  return parsed;
}

Result<std::vector<tsdb::Matcher>> parse_metric_selector(std::string_view text, ParseError* error) {
  const ParseOptions options;
  if (text.size() > options.length_max) {
    return refuse_length(text.size(), options.length_max, error);
  }
  Parser parser(text, options);
  Result<std::vector<tsdb::Matcher>> parsed = parser.parse_whole_metric_selector();
  if (!parsed.ok()) return refuse(parser.error(), error);
  return parsed;
}

}  // namespace tarsier::query
