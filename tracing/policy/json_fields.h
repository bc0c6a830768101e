#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_reader.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::tracing {

/// Reads the fields of one configuration map strictly: fields nobody asked for are errors, as are
/// wrong types. What is not there or null stays untouched. The first problem is kept, and every
/// read after it does nothing. Borrows the map.
class JsonFields final {
 public:
  /// `path` is where the map stands: "policies[0].latency".
  JsonFields(const JsonValue& map, std::string path);

  void read(std::string_view name, std::string& out);
  void read(std::string_view name, bool& out);
  void read(std::string_view name, double& out);
  void read(std::string_view name, std::uint64_t& out);
  void read(std::string_view name, std::optional<std::uint64_t>& out);
  void read(std::string_view name, std::optional<std::int64_t>& out);
  void read(std::string_view name, Duration& out);  ///< "30s", or seconds as a number.
  void read(std::string_view name, std::vector<std::string>& out);
  /// Null when it is not there.
  const JsonValue* find(std::string_view name);
  /// The same; a value that is no list is a problem.
  const JsonValue* list(std::string_view name);
  /// The map of that name; an empty one if there is none.
  JsonFields section(std::string_view name);

  bool ok() const { return status_.ok(); }
  /// The first problem, else a field nobody asked for, else success. Call last.
  Status finish();
  /// kInvalid with the place before `why`; the first problem where there was one before.
  Status fail(std::string_view why) const;
  std::string path_of(std::string_view name) const;

 private:
  void note(std::string_view name, const Status& problem);

  const JsonValue& map_;
  const std::string path_;
  std::vector<bool> known_;  // One per key.
  Status status_;
};

}  // namespace tarsier::tracing
