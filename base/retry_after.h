#pragma once

#include <string_view>

#include "base/http.h"
#include "base/time.h"

namespace tarsier {

/// How long a server asks its client to wait (RFC 9110, Retry-After): seconds, or a date as in
/// `Sun, 06 Nov 1994 08:49:37 GMT`. 0 for anything else and for what is past; at most an hour.
Duration parse_retry_after(std::string_view text, Timestamp now);
/// The same from the headers of an answer; 0 if it is not there.
Duration retry_after(const HttpHeaders& headers, Timestamp now);

}  // namespace tarsier
