#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

/// Storage as the rules of one group see it during one evaluation: what several rules select alike
/// is looked up once, and the newest samples that instant selectors ask for are read once. A shared
/// selection is of the moment of its first use, so rules that share see the same data; whoever
/// writes in between says so (`wrote`), and what could hold that is looked up anew. Made for one
/// evaluation; any number of threads. Borrows the storage.
class SharedScans final : public tsdb::Queryable {
 public:
  /// `series_max`: shared selections hold at most this many series together (16 bytes each beside
  /// what storage holds); what comes later is not shared.
  explicit SharedScans(tsdb::Queryable& storage, std::size_t series_max = 4'000'000);
  ~SharedScans() override;

  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override;
  /// A series of this name was written.
  void wrote(std::string_view metric_name);

  std::size_t hit_count() const;  ///< Selections that were there already.

 private:
  class Set;
  class View;
  class Handle;
  struct Entry {
    std::vector<tsdb::Matcher> matchers;
    std::shared_ptr<Set> set;
  };

  static std::string key_of(TimeRange range, const tsdb::SelectRequest& request);
  std::shared_ptr<Set> find(const std::string& key);
  std::shared_ptr<Set> keep(const std::string& key, const std::vector<tsdb::Matcher>& matchers,
                            std::unique_ptr<tsdb::SeriesSet> found);

  tsdb::Queryable& storage_;
  const std::size_t series_max_;
  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ GUARDED_BY(mutex_);
  std::size_t series_count_ GUARDED_BY(mutex_) = 0;
  std::size_t hits_ GUARDED_BY(mutex_) = 0;
};

}  // namespace tarsier::alerting
