#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "ingest/discovery/kubernetes/objects.h"

namespace tarsier::ingest {

/// Which object: its kind and its key.
using KubeId = std::pair<KubeKind, std::string>;

/// The objects a discovery knows, by kind and key. One thread at a time.
class KubeStore final {
 public:
  /// `bytes_max`: no object is taken that would need more in total.
  explicit KubeStore(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  enum class Outcome : unsigned char { kAdded, kUpdated, kRefused };
  Outcome put(KubeObject object);
  /// False if it was not there.
  bool erase(const KubeId& id);
  /// Null if there is none. Valid until it is put again or erased.
  const KubeObject* find(KubeKind kind, const std::string& key) const;
  const std::map<std::string, KubeObject>& all(KubeKind kind) const { return of(kind); }
  std::size_t byte_count() const { return byte_count_; }

 private:
  using Objects = std::map<std::string, KubeObject>;
  const Objects& of(KubeKind kind) const { return objects_[static_cast<std::size_t>(kind)]; }

  const std::size_t bytes_max_;
  std::size_t byte_count_ = 0;
  std::array<Objects, kKubeKindCount> objects_;
};

}  // namespace tarsier::ingest
