#pragma once

namespace tarsier::testing {

/// Whether this build watches itself, and is many times slower: tests that only widen a search do
/// less then.
#if defined(__has_feature)
inline constexpr bool kIsSanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kIsSanitized = false;
#endif

}  // namespace tarsier::testing
