#include <limits>
#include <unordered_map>

#include "query/exec/grouper.h"
#include "query/exec/join.h"

namespace tarsier::query {
namespace {

/// At which steps each signature has an element.
class Presence final {
 public:
  Presence(std::size_t group_count, std::size_t step_count)
      : step_count_(step_count), present_(group_count * step_count, 0) {}
  void add(std::uint32_t group, const double* row) {
    unsigned char* const present = at(group);
    for (std::size_t k = 0; k < step_count_; ++k) {
      present[k] = static_cast<unsigned char>(present[k] | (is_present(row[k]) ? 1 : 0));
    }
  }
  const unsigned char* of(std::uint32_t group) const {
    return present_.data() + group * step_count_;
  }

 private:
  unsigned char* at(std::uint32_t group) { return present_.data() + group * step_count_; }
  std::size_t step_count_;
  std::vector<unsigned char> present_;
};

Result<Presence> presence_of(Context& context, const VectorStream& stream,
                             const std::vector<std::uint32_t>& groups, std::size_t group_count) {
  const std::size_t steps = stream.grid().count;
  Presence presence(group_count, steps);
  Mutex mutex;  // Batches may share a group; setting flags commutes.
  TRY(for_each_batch(context, stream,
                     [&](std::size_t, std::size_t first, std::size_t count, const double* rows) {
                       const MutexLock lock(mutex);
                       for (std::size_t i = 0; i < count; ++i)
                         presence.add(groups[first + i], rows + i * steps);
                       return Status();
                     }));
  return presence;
}

/// Some of the series of a stream that lives longer.
class PickedStream final : public VectorStream {
 public:
  PickedStream(const VectorStream& all, std::vector<std::uint32_t> picked)
      : VectorStream(all.grid()), all_(all), picked_(std::move(picked)) {}
  std::size_t size() const override { return picked_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return all_.labels(picked_[i]); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return all_.label(picked_[i], name);
  }
  bool drops_name(std::size_t i) const override { return all_.drops_name(picked_[i]); }
  bool may_have_names() const override { return all_.may_have_names(); }
  bool is_distinct_without_names() const override { return all_.is_distinct_without_names(); }
  bool may_have_histograms() const override { return all_.may_have_histograms(); }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    auto wanted = scratch.indices();
    for (const std::uint32_t i : series) wanted->push_back(picked_[i]);
    return all_.read(*wanted, rows, scratch);
  }

 private:
  const VectorStream& all_;
  const std::vector<std::uint32_t> picked_;
};

/// Keeps values where the other side has, or has not, an element of the same signature.
class MaskedStream final : public ForwardingStream {
 public:
  MaskedStream(StreamPtr child, std::vector<std::uint32_t> groups, Presence presence,
               bool keeps_present)
      : ForwardingStream(std::move(child)),
        groups_(std::move(groups)),
        presence_(std::move(presence)),
        keep_(keeps_present ? 1 : 0) {}
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    TRY(child().read(series, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      double* const row = rows + i * grid().count;
      const unsigned char* const present = presence_.of(groups_[series[i]]);
      for (std::size_t k = 0; k < grid().count; ++k) {
        row[k] = present[k] == keep_ ? row[k] : absent_value();
      }
    }
    return {};
  }

 private:
  const std::vector<std::uint32_t> groups_;
  const Presence presence_;
  const unsigned char keep_;
};

constexpr std::uint32_t kNoSeries = std::numeric_limits<std::uint32_t>::max();

/// All series of `left`, then those of `right` that are not there already; equal ones are one
/// series. `right` was masked, so at no step do both have a value.
class UnionStream final : public VectorStream {
 public:
  UnionStream(StreamPtr left, StreamPtr right)
      : VectorStream(left->grid()), left_(std::move(left)), right_(std::move(right)) {
    std::unordered_map<tsdb::Labels, std::uint32_t> positions;
    for (std::size_t i = 0; i < left_->size(); ++i) {
      positions.emplace(left_->labels(i), static_cast<std::uint32_t>(i));
      sources_.push_back({static_cast<std::uint32_t>(i), kNoSeries});
    }
    for (std::size_t j = 0; j < right_->size(); ++j) {
      const auto it = positions.find(right_->labels(j));
      if (it != positions.end()) {
        sources_[it->second].right = static_cast<std::uint32_t>(j);
      } else {
        sources_.push_back({kNoSeries, static_cast<std::uint32_t>(j)});
      }
    }
  }
  std::size_t size() const override { return sources_.size(); }
  tsdb::Labels labels(std::size_t i) const override {
    const Source& s = sources_[i];
    return s.left != kNoSeries ? left_->labels(s.left) : right_->labels(s.right);
  }
  std::string_view label(std::size_t i, std::string_view name) const override {
    const Source& s = sources_[i];
    return s.left != kNoSeries ? left_->label(s.left, name) : right_->label(s.right, name);
  }
  bool drops_name(std::size_t i) const override {
    const Source& s = sources_[i];
    return (s.left != kNoSeries && left_->drops_name(s.left)) ||
           (s.right != kNoSeries && right_->drops_name(s.right));
  }
  bool may_have_names() const override {
    return left_->may_have_names() || right_->may_have_names();
  }
  bool is_distinct_without_names() const override { return false; }
  bool may_have_histograms() const override {
    return left_->may_have_histograms() || right_->may_have_histograms();
  }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    const std::size_t steps = grid().count;
    auto other = scratch.doubles(steps);
    for (std::size_t i = 0; i < series.size(); ++i) {
      const Source& source = sources_[series[i]];
      double* const row = rows + i * steps;
      if (source.left != kNoSeries) TRY(left_->read({&source.left, 1}, row, scratch));
      if (source.right == kNoSeries) continue;
      if (source.left == kNoSeries) {
        TRY(right_->read({&source.right, 1}, row, scratch));
        continue;
      }
      TRY(right_->read({&source.right, 1}, other->data(), scratch));
      for (std::size_t k = 0; k < steps; ++k) {
        if (is_absent(row[k])) row[k] = (*other)[k];
      }
    }
    return {};
  }

 private:
  struct Source {
    std::uint32_t left;
    std::uint32_t right;
  };
  const StreamPtr left_;
  const StreamPtr right_;
  std::vector<Source> sources_;
};

/// Rows beyond this are rather computed twice than kept.
constexpr std::uint64_t kKeptBytesMax = std::uint64_t{16} << 20;

/// Whether `left` of an `or`, which is read for the mask and again for the result, is to be kept
/// meanwhile. What is counted by steps is read once, or it would count twice.
bool is_better_kept(const Context& context, const VectorStream& left) {
  if (dynamic_cast<const Table*>(&left) != nullptr) return false;
  const std::uint64_t bytes = std::uint64_t{left.size()} * left.grid().count * sizeof(double);
  return bytes <= kKeptBytesMax || context.step_counter.has_value();
}

/// `left or right`. Only where both sides have series of one signature does it matter when the left
/// ones have values.
Result<StreamPtr> unite(Context& context, StreamPtr left, StreamPtr right,
                        const std::vector<std::uint32_t>& left_groups,
                        std::vector<std::uint32_t> right_groups, std::size_t group_count) {
  std::vector<bool> is_on_the_right(group_count, false);
  for (const std::uint32_t group : right_groups) is_on_the_right[group] = true;
  std::vector<std::uint32_t> shared;
  std::vector<std::uint32_t> shared_groups;
  for (std::size_t i = 0; i < left_groups.size(); ++i) {
    if (!is_on_the_right[left_groups[i]]) continue;
    shared.push_back(static_cast<std::uint32_t>(i));
    shared_groups.push_back(left_groups[i]);
  }
  if (shared.empty()) {
    return StreamPtr(std::make_unique<UnionStream>(std::move(left), std::move(right)));
  }
  if (is_better_kept(context, *left)) left = TRY(Table::of(context, *left));
  const std::uint64_t read_before = context.samples_read.load(std::memory_order_relaxed);
  Presence present =
      TRY(presence_of(context, PickedStream(*left, std::move(shared)), shared_groups, group_count));
  context.samples_read.store(read_before, std::memory_order_relaxed);
  right = std::make_unique<MaskedStream>(std::move(right), std::move(right_groups),
                                         std::move(present), false);
  return StreamPtr(std::make_unique<UnionStream>(std::move(left), std::move(right)));
}

}  // namespace

Result<StreamPtr> combine_sets(Context& context, const Binary& binary, StreamPtr left,
                               StreamPtr right) {
  Grouper signatures(context, signature_of(binary.matching));
  std::vector<std::uint32_t> left_groups = TRY(signatures.add(*left));
  std::vector<std::uint32_t> right_groups = TRY(signatures.add(*right));
  if (binary.op == BinaryOp::kOr) {
    return unite(context, std::move(left), std::move(right), left_groups, std::move(right_groups),
                 signatures.group_count());
  }
  Presence present = TRY(presence_of(context, *right, right_groups, signatures.group_count()));
  return StreamPtr(std::make_unique<MaskedStream>(std::move(left), std::move(left_groups),
                                                  std::move(present), binary.op == BinaryOp::kAnd));
}

}  // namespace tarsier::query
