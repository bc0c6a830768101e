#include "query/functions/natural_order.h"

#include <charconv>
#include <cstdint>

namespace tarsier::query {
namespace {

bool is_digit(char c) { return '0' <= c && c <= '9'; }

/// Takes the leading run of digits, or of anything else, off `text`.
std::string_view take_run(std::string_view& text) {
  std::size_t size = 0;
  while (size < text.size() && is_digit(text[size]) == is_digit(text.front())) ++size;
  const std::string_view run = text.substr(0, size);
  text.remove_prefix(size);
  return run;
}

bool parse_number(std::string_view run, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(run.data(), run.data() + run.size(), number);
  return error == std::errc() && end == run.data() + run.size();
}

}  // namespace

std::weak_ordering natural_compare(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const std::string_view run_a = take_run(a);
    const std::string_view run_b = take_run(b);
    std::uint64_t number_a = 0;
    std::uint64_t number_b = 0;
    const std::weak_ordering order = parse_number(run_a, number_a) && parse_number(run_b, number_b)
                                         ? std::weak_ordering(number_a <=> number_b)
                                         : std::weak_ordering(run_a <=> run_b);
    if (order != 0) return order;
  }
  return std::weak_ordering(a.empty() <=> b.empty()) == 0 ? std::weak_ordering::equivalent
         : a.empty()                                      ? std::weak_ordering::less
                                                          : std::weak_ordering::greater;
}

}  // namespace tarsier::query
