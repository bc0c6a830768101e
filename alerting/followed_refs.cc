#include "alerting/followed_refs.h"

#include <utility>

#include "base/check.h"

namespace tarsier::alerting {
namespace {

constexpr std::size_t kFirstSlots = 1024;

}  // namespace

void FollowedRefs::set(std::uint64_t ref, std::uint32_t id) {
  CHECK(ref != 0);
  if (2 * (count_ + 1) > slots_.size()) grow();
  std::size_t at = home(ref);
  while (slots_[at].ref != 0 && slots_[at].ref != ref) at = (at + 1) & mask_;
  if (slots_[at].ref == 0) ++count_;
  slots_[at] = {.ref = ref, .id = id};
}

void FollowedRefs::erase(std::uint64_t ref) {
  if (slots_.empty() || ref == 0) return;
  std::size_t at = home(ref);
  while (slots_[at].ref != ref) {
    if (slots_[at].ref == 0) return;
    at = (at + 1) & mask_;
  }
  --count_;
  // Whoever was pushed past this place moves up, so that no look-up ends here too early.
  for (std::size_t next = (at + 1) & mask_; slots_[next].ref != 0; next = (next + 1) & mask_) {
    const std::size_t wanted = home(slots_[next].ref);
    const bool may_move = ((next - wanted) & mask_) >= ((next - at) & mask_);
    if (!may_move) continue;
    slots_[at] = slots_[next];
    at = next;
  }
  slots_[at] = {};
}

void FollowedRefs::clear() {
  slots_.clear();
  mask_ = 0;
  count_ = 0;
}

void FollowedRefs::grow() {
  std::vector<Slot> former =
      std::exchange(slots_, std::vector<Slot>(slots_.empty() ? kFirstSlots : 2 * slots_.size()));
  mask_ = slots_.size() - 1;
  for (const Slot& slot : former) {
    if (slot.ref == 0) continue;
    std::size_t at = home(slot.ref);
    while (slots_[at].ref != 0) at = (at + 1) & mask_;
    slots_[at] = slot;
  }
}

}  // namespace tarsier::alerting
