#include <algorithm>
#include <set>

#include "base/sha256.h"
#include "tsdb/block/shipped_list.h"
#include "tsdb/ship/thanos_meta.h"
#include "tsdb/shipping.h"

namespace tarsier::tsdb {
namespace {

constexpr Duration kInterval = seconds(10);
constexpr Duration kIntervalMax = minutes(5);
constexpr std::string_view kChunksPrefix = "chunks/";

/// Whether the bucket is not at fault.
bool is_fault_of_block(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kInvalid;
}

Result<std::string> sha256_of(const ReadableFile& file) {
  if (!file.mapped().empty() || file.size() == 0) return hex_text(sha256(file.mapped()));
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.size()));
  TRY(file.read_at(0, bytes));
  return hex_text(sha256(bytes));
}

}  // namespace

/// A block in the data directory.
struct Shipper::Candidate {
  BlockMeta meta;
  std::string directory;
};

Shipper::Shipper(FileSystem& files, ShipperOptions options, Bucket& bucket, Logger& log)
    : files_(files), options_(std::move(options)), bucket_(bucket), log_(log) {
  const MutexLock lock(mutex_);
  status_.bucket = bucket_.description();
}

void Shipper::set_labels(std::vector<std::pair<std::string, std::string>> labels) {
  const MutexLock lock(mutex_);
  status_.labels = std::move(labels);
}

ShipperStatus Shipper::status() const {
  const MutexLock lock(mutex_);
  return status_;
}

void Shipper::note_error(const std::string& text) {
  const MutexLock lock(mutex_);
  status_.last_error = text;
  status_.current.clear();
}

Timestamp Shipper::run_due(Timestamp now) {
  if (now < due_) return due_;
  const Status status = pass(now);
  if (is_cancelled_.load()) return kNever;
  if (status.ok()) {
    metrics_.syncs.add();
    failures_in_a_row_ = 0;
    due_ = now + kInterval;
    return due_;
  }
  metrics_.syncs_failed.add();
  log_.warn("Shipping blocks failed; it is tried again",
            {{"bucket", bucket_.description()}, {"error", status.message()}});
  note_error(status.message());
  const std::int64_t wait = kInterval.ms << std::min(failures_in_a_row_++, 5);
  due_ = now + std::min(Duration{wait}, kIntervalMax);
  return due_;
}

/// Every block with samples, oldest first.
Result<std::vector<Shipper::Candidate>> Shipper::candidates() {
  std::vector<Candidate> found;
  for (const DirectoryEntry& entry : TRY(files_.list(options_.data_directory))) {
    if (!entry.is_directory || !parse_ulid(entry.name)) continue;
    std::string directory = join_path(options_.data_directory, entry.name);
    auto meta = read_block_meta(files_, directory);
    // It is for the database to report what is damaged; what vanishes was compacted.
    if (!meta.ok() || meta->sample_count == 0) continue;
    found.push_back({std::move(*meta), std::move(directory)});
  }
  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    return std::pair(a.meta.min_time, a.meta.ulid) < std::pair(b.meta.min_time, b.meta.ulid);
  });
  return found;
}

Status Shipper::pass(Timestamp now) {
  const std::vector<Candidate> blocks = TRY(candidates());
  const auto known = read_shipped_list(files_, options_.list_path);
  if (!known.ok() && known.status().code() == Code::kIo) return known.status();
  // A list that is lost costs looking into the bucket.
  const std::vector<Ulid> before = known.ok() ? *known : std::vector<Ulid>();
  const std::set<Ulid> shipped(before.begin(), before.end());
  std::vector<Ulid> uploaded;
  std::vector<const Candidate*> left;
  for (const Candidate& block : blocks) {
    if (shipped.contains(block.meta.ulid)) {
      uploaded.push_back(block.meta.ulid);
    } else if (block.meta.compaction_level <= 1) {
      left.push_back(&block);
    }
  }
  const auto publish = [&] {
    const MutexLock lock(mutex_);
    status_.uploaded.clear();
    for (const Ulid& ulid : uploaded) status_.uploaded.push_back(ulid.to_string());
    status_.waiting.clear();
    for (const Candidate* block : left) {
      if (std::find(uploaded.begin(), uploaded.end(), block->meta.ulid) == uploaded.end()) {
        status_.waiting.push_back(block->meta.ulid.to_string());
      }
    }
  };
  publish();
  // Also before anything is shipped: the list says that somebody ships.
  if (!known.ok() || uploaded != before) {
    TRY(write_file_atomically(files_, options_.list_path, format_shipped_list(uploaded)));
  }
  {
    const MutexLock lock(mutex_);
    if (status_.labels.empty() && !left.empty()) {
      return invalid("no external labels are configured, which name this server in the bucket");
    }
  }
  Status damaged;
  for (const Candidate* block : left) {
    if (is_cancelled_.load()) return cancelled("the server is ending");
    {
      const MutexLock lock(mutex_);
      status_.current = block->meta.ulid.to_string();
    }
    Status status = ship(*block, now);
    if (!status.ok() && !files_.exists(join_path(block->directory, kMetaFileName))) continue;
    if (!status.ok()) {
      metrics_.uploads_failed.add();
      status = std::move(status).with_prefix("block " + block->meta.ulid.to_string());
      if (!is_fault_of_block(status)) return status;
      if (damaged.ok()) damaged = std::move(status);
      continue;
    }
    uploaded.push_back(block->meta.ulid);
    TRY(write_file_atomically(files_, options_.list_path, format_shipped_list(uploaded)));
    publish();
  }
  const MutexLock lock(mutex_);
  status_.current.clear();
  if (damaged.ok()) status_.last_error.clear();
  return damaged;
}

Status Shipper::put_file(const std::string& name, const ReadableFile& file,
                         const std::map<std::string, std::uint64_t>& there) {
  const auto found = there.find(name);
  // Files of a block never change.
  if (found != there.end() && found->second == file.size()) {
    metrics_.resumed.add();
    return {};
  }
  if (is_cancelled_.load()) return cancelled("the server is ending");
  TRY(bucket_.put_file(name, file));
  metrics_.bytes.add(file.size());
  const MutexLock lock(mutex_);
  status_.uploaded_bytes += file.size();
  return {};
}

Status Shipper::ship(const Candidate& candidate, Timestamp now) {
  const std::string name = candidate.meta.ulid.to_string();
  const std::string place = options_.prefix + name + "/";
  const auto there = TRY(bucket_.list(place));
  if (there.contains(place + std::string(kMetaFileName))) return {};

  // Opened before anything is sent: they stay readable when retention takes the block.
  const auto block = TRY(Block::open(files_, candidate.directory));
  ThanosSection section;
  std::vector<std::unique_ptr<ReadableFile>> opened;
  std::vector<std::uint64_t> segment_bytes;
  const auto open = [&](const std::string& path) -> Status {
    auto file = TRY(files_.open_readable(join_path(candidate.directory, path), Access::kMap));
    ThanosFile& entry = section.files.emplace_back();
    entry.path = path;
    entry.size = file->size();
    if (options_.has_hashes) entry.sha256 = TRY(sha256_of(*file));
    opened.push_back(std::move(file));
    return {};
  };
  const std::string chunks = join_path(candidate.directory, kChunksDirectoryName);
  for (const DirectoryEntry& entry : TRY(files_.list(chunks))) {
    if (entry.is_directory) continue;
    TRY(open(std::string(kChunksPrefix) + entry.name));
    segment_bytes.push_back(section.files.back().size);
  }
  TRY(open(std::string(kIndexFileName)));
  section.entries = TRY(measure_entries(*block, segment_bytes));
  section.upload_time = now;
  {
    const MutexLock lock(mutex_);
    section.labels = status_.labels;
  }
  for (std::size_t i = 0; i < opened.size(); ++i) {
    TRY(put_file(place + section.files[i].path, *opened[i], there));
  }
  TRY(bucket_.put(place + std::string(kMetaFileName), format_thanos_meta(candidate.meta, section)));
  metrics_.uploads.add();
  log_.info("Block shipped", {{"ulid", name}, {"bucket", bucket_.description()}});
  const MutexLock lock(mutex_);
  ++status_.uploaded_blocks;
  status_.last_upload = now;
  return {};
}

void Shipper::collect(MetricWriter& out) const {
  const auto number = [](std::uint64_t n) { return static_cast<double>(n); };
  out.counter("thanos_shipper_dir_syncs_total", "Total number of dir syncs",
              number(metrics_.syncs.value()));
  out.counter("thanos_shipper_dir_sync_failures_total", "Total number of failed dir syncs",
              number(metrics_.syncs_failed.value()));
  out.counter("thanos_shipper_uploads_total", "Total number of uploaded blocks",
              number(metrics_.uploads.value()));
  out.counter("thanos_shipper_upload_failures_total", "Total number of block upload failures",
              number(metrics_.uploads_failed.value()));
  out.counter("tarsier_shipper_uploaded_bytes_total", "Bytes of block files shipped.",
              number(metrics_.bytes.value()));
  out.counter("tarsier_shipper_files_already_there_total",
              "Files an interrupted upload had left whole in the bucket.",
              number(metrics_.resumed.value()));
  const MutexLock lock(mutex_);
  out.gauge(
      "thanos_objstore_bucket_last_successful_upload_time",
      "Second timestamp of the last successful upload to the bucket.",
      status_.last_upload == kMinTimestamp ? 0 : static_cast<double>(status_.last_upload.ms) / 1000,
      {{"bucket", status_.bucket}});
}

}  // namespace tarsier::tsdb
