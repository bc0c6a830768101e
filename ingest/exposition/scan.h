#pragma once

#include <emmintrin.h>

namespace tarsier::ingest {

/// The first of the given characters in [p, end), or `end`. Sixteen bytes a step.
template <char... wanted>
inline const char* find_first_of(const char* p, const char* end) {
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    __m128i hits = _mm_setzero_si128();
    ((hits = _mm_or_si128(hits, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(wanted)))), ...);
    if (const int mask = _mm_movemask_epi8(hits))
      return p + __builtin_ctz(static_cast<unsigned>(mask));
    p += 16;
  }
  while (p != end && !((*p == wanted) || ...)) ++p;
  return p;
}

/// From just after the opening brace of a label section to just after its closing brace, passing
/// over quoted text; null if it does not end on this line. Finds the end only: what is between is
/// checked when it is parsed, which bytes that are already known never are.
inline const char* skip_label_section(const char* p, const char* end) {
  for (;;) {
    p = find_first_of<'"', '}', '\n'>(p, end);
    if (p == end || *p == '\n') return nullptr;
    if (*p == '}') return p + 1;
    for (++p;; p += 2) {  // A backslash takes the next character with it.
      p = find_first_of<'"', '\\'>(p, end);
      if (end - p < 2) return nullptr;  // Nothing may follow a quote or backslash at the end.
      if (*p == '"') break;
    }
    ++p;
  }
}

inline bool is_metric_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}

/// From the first character of a legacy metric name to just after its last.
inline const char* skip_metric_name(const char* p, const char* end) {
  while (p != end && (is_metric_name_start(*p) || (*p >= '0' && *p <= '9'))) ++p;
  return p;
}

}  // namespace tarsier::ingest
