#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tsdb/appender.h"

namespace tarsier::ingest {

/// What a target says about one metric family.
struct FamilyMetadata {
  std::string family;
  tsdb::Metadata metadata;
};

/// TYPE, HELP and UNIT of the families a target exposes, kept from scrape to scrape and forgotten
/// ten scrapes after a family disappeared. One thread at a time.
class FamilyCache final {
 public:
  struct Family {
    tsdb::Metadata metadata;
    std::string_view name;     // Borrowed from the key in the map.
    std::uint32_t seen = 0;    // The number of the last scrape that described it.
    bool has_changed = false;  // In the running scrape.
  };

  void begin_scrape();
  // Each returns the family, valid until the next succeed() or clear().
  const Family* set_type(std::string_view family, tsdb::MetricType type);
  const Family* set_help(std::string_view family, std::string_view help);
  const Family* set_unit(std::string_view family, std::string_view unit);
  /// Forgets what has not been seen for long.
  void succeed();
  void clear();

  /// Whether anything changed since begin_scrape().
  bool has_changed() const { return has_changed_; }
  std::vector<FamilyMetadata> list() const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const {
      return std::hash<std::string_view>()(name);
    }
  };

  Family& touch(std::string_view family);
  void note_change(Family& family);

  std::unordered_map<std::string, Family, Hash, std::equal_to<>> families_;
  std::uint32_t scrape_ = 0;
  bool has_changed_ = false;
};

}  // namespace tarsier::ingest
