#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace tarsier {

/// What a caller can act on. One maker function per code is below.
enum class Code : unsigned char {
  kOk,
  kInvalid,      ///< The input is wrong; sending it again will not help.
  kNotFound,     ///< The named thing does not exist.
  kCorruption,   ///< Stored or received bytes break their format.
  kIo,           ///< The operating system refused a read, write or sync.
  kLimit,        ///< A configured limit was reached.
  kTimeout,      ///< The deadline passed.
  kCancelled,    ///< The requester went away or asked to stop.
  kUnavailable,  ///< Not now: try again later.
};

/// The name of `code` in snake_case ("not_found").
std::string_view code_name(Code code);

/// Success, or a code with a message for people. Messages read outward: file, offset, got, want.
class [[nodiscard]] Status final {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {
    CHECK(code != Code::kOk);
  }

  bool ok() const noexcept { return code_ == Code::kOk; }
  Code code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  /// The same code with `prefix: ` before the message. Success stays success.
  Status with_prefix(std::string_view prefix) &&;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

Status invalid(std::string message);
Status not_found(std::string message);
Status corruption(std::string message);
Status io_error(std::string message);
Status limit_exceeded(std::string message);
Status timeout(std::string message);
Status cancelled(std::string message);
Status unavailable(std::string message);

/// A T, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result final {
 public:
  // Implicit on purpose: `return value;` and `return corruption(...)` are how functions end.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  template <typename U>
    requires(std::is_convertible_v<U &&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Status> &&
             !std::is_same_v<std::remove_cvref_t<U>, Result>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {
    CHECK(!std::get<1>(state_).ok(), "a Result needs a value or an error");
  }

  bool ok() const noexcept { return state_.index() == 0; }
  Status status() const& { return ok() ? Status() : std::get<1>(state_); }
  Status status() && { return ok() ? Status() : std::get<1>(std::move(state_)); }

  /// REQUIRES: ok().
  T& value() & {
    CHECK(ok(), std::get<1>(state_).message());
    return std::get<0>(state_);
  }
  const T& value() const& {
    CHECK(ok(), std::get<1>(state_).message());
    return std::get<0>(state_);
  }
  T&& value() && {
    CHECK(ok(), std::get<1>(state_).message());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> state_;
};

namespace result_detail {
struct Nothing {};
inline Status take_status(Status&& s) { return std::move(s); }
template <typename T>
Status take_status(Result<T>&& r) {
  return std::move(r).status();
}
inline Nothing take_value(Status&&) { return {}; }
template <typename T>
T take_value(Result<T>&& r) {
  return std::move(r).value();
}
}  // namespace result_detail

}  // namespace tarsier

/// Evaluates a Status or Result; returns early from the enclosing function on error, otherwise is
/// the value: `auto meta = TRY(read_meta(dir));`, `TRY(file->sync());`.
#define TRY(...)                                                             \
  __extension__({                                                            \
    auto try_outcome_ = (__VA_ARGS__);                                       \
    if (!try_outcome_.ok()) [[unlikely]] {                                   \
      return ::tarsier::result_detail::take_status(std::move(try_outcome_)); \
    }                                                                        \
    ::tarsier::result_detail::take_value(std::move(try_outcome_));           \
  })
