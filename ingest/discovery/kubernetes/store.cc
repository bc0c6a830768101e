#include "ingest/discovery/kubernetes/store.h"

namespace tarsier::ingest {

KubeStore::Outcome KubeStore::put(KubeObject object) {
  Objects& objects = objects_[static_cast<std::size_t>(object.kind)];
  const std::string key = object.key();
  const auto found = objects.find(key);
  const std::size_t before = found == objects.end() ? 0 : found->second.byte_count();
  const std::size_t bytes = object.byte_count();
  if (byte_count_ - before + bytes > bytes_max_) return Outcome::kRefused;
  byte_count_ = byte_count_ - before + bytes;
  if (found == objects.end()) {
    objects.emplace(key, std::move(object));
    return Outcome::kAdded;
  }
  found->second = std::move(object);
  return Outcome::kUpdated;
}

bool KubeStore::erase(const KubeId& id) {
  Objects& objects = objects_[static_cast<std::size_t>(id.first)];
  const auto found = objects.find(id.second);
  if (found == objects.end()) return false;
  byte_count_ -= found->second.byte_count();
  objects.erase(found);
  return true;
}

const KubeObject* KubeStore::find(KubeKind kind, const std::string& key) const {
  const Objects& objects = of(kind);
  const auto found = objects.find(key);
  return found == objects.end() ? nullptr : &found->second;
}

}  // namespace tarsier::ingest
