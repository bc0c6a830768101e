#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <utility>

#include "alerting/template/directive.h"
#include "alerting/template/print.h"
#include "base/utf8.h"

// Go's Sprintf: what a format says of each operand. How an operand looks is print.cc's.

namespace tarsier::alerting {
namespace {

/// Walks a format and its arguments.
class Formatter final {
 public:
  Formatter(std::string_view format, std::span<const Value> values)
      : format_(format), values_(values) {}

  std::string run() {
    while (at_ < format_.size() && out_.size() < kOutputBytesMax) {
      const std::size_t percent = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, percent - at_);
      at_ = percent;
      if (at_ < format_.size()) directive();
    }
    if (!reordered_ && next_ < values_.size()) extra();
    return std::move(out_);
  }

 private:
  static constexpr int kNumberMax = 10'000;
  static constexpr std::size_t kOutputBytesMax = std::size_t{4} << 20;  // More is cut.

  char peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  std::optional<int> number() {
    std::optional<int> value;
    while (std::isdigit(static_cast<unsigned char>(peek())) != 0) {
      value = std::min(kNumberMax, value.value_or(0) * 10 + (peek() - '0'));
      ++at_;
    }
    return value;
  }

  /// `[2]`: the next operand is the second.
  void argument_index() {
    if (peek() != '[') return;
    const std::size_t end = format_.find(']', at_);
    if (end == std::string_view::npos) return;
    ++at_;
    const std::optional<int> index = number();
    reordered_ = true;
    bad_index_ =
        !index || at_ != end || *index < 1 || static_cast<std::size_t>(*index) > values_.size();
    at_ = end + 1;
    if (!bad_index_) next_ = static_cast<std::size_t>(*index) - 1;
  }

  /// A number, or `*`: an operand.
  std::optional<int> number_or_operand(std::string_view complaint) {
    argument_index();
    if (peek() != '*') return number();
    ++at_;
    if (next_ >= values_.size() || values_[next_].kind() != ValueKind::kInt ||
        std::abs(values_[next_].as_int()) > kNumberMax) {
      if (next_ < values_.size()) ++next_;
      out_ += complaint;
      return std::nullopt;
    }
    return static_cast<int>(values_[next_++].as_int());
  }

  void directive() {
    ++at_;
    Directive d;
    bad_index_ = false;
    for (;; ++at_) {
      const char c = peek();
      if (c == '+') {
        d.plus = true;
      } else if (c == '-') {
        d.minus = true;
      } else if (c == '#') {
        d.sharp = true;
      } else if (c == ' ') {
        d.space = true;
      } else if (c == '0') {
        d.zero = true;
      } else {
        break;
      }
    }
    d.width = number_or_operand("%!(BADWIDTH)");
    if (d.width && *d.width < 0) {
      d.minus = true;
      d.width = -*d.width;
    }
    if (d.minus) d.zero = false;
    if (peek() == '.') {
      ++at_;
      const std::size_t before = at_;
      d.precision = number_or_operand("%!(BADPREC)");
      if (!d.precision && at_ == before) d.precision = 0;
      if (d.precision && *d.precision < 0) d.precision.reset();
    }
    argument_index();
    if (at_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    const std::size_t size = std::max<std::size_t>(1, utf8_sequence_size(format_.substr(at_)));
    d.verb = std::string(format_.substr(at_, size));
    if (d.verb == "v") {
      d.plus_v = std::exchange(d.plus, false);
      d.sharp_v = std::exchange(d.sharp, false);
    }
    at_ += size;
    if (d.verb == "%") {
      out_ += '%';
    } else if (bad_index_) {
      out_ += "%!" + d.verb + "(BADINDEX)";
    } else if (next_ >= values_.size()) {
      out_ += "%!" + d.verb + "(MISSING)";
    } else {
      out_ += format_value(values_[next_++], d);
    }
  }

  void extra() {
    out_ += "%!(EXTRA ";
    for (std::size_t i = next_; i < values_.size(); ++i) {
      if (i > next_) out_ += ", ";
      if (values_[i].is_none()) {
        out_ += "<nil>";
      } else {
        out_ += std::string(values_[i].type_name()) + "=" + go_text(values_[i]);
      }
    }
    out_ += ")";
  }

  const std::string_view format_;
  const std::span<const Value> values_;
  std::string out_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
  bool reordered_ = false;
  bool bad_index_ = false;
};

}  // namespace

std::string go_sprintf(std::string_view format, std::span<const Value> values) {
  return Formatter(format, values).run();
}

}  // namespace tarsier::alerting
