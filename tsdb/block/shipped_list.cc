#include "tsdb/block/shipped_list.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "base/json_writer.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint64_t kListBytesMax = std::uint64_t{16} << 20;
constexpr std::int64_t kListVersion = 1;

}  // namespace

Result<std::vector<Ulid>> parse_shipped_list(std::string_view json) {
  const JsonValue document = TRY(parse_json(json));
  const JsonValue* version = document.find("version");
  if (version == nullptr || TRY(version->as_int64()) != kListVersion) {
    return invalid("version is not 1");
  }
  std::vector<Ulid> uploaded;
  const JsonValue* list = document.find("uploaded");
  if (list == nullptr || list->is_null()) return uploaded;
  if (list->kind() != JsonKind::kArray) return invalid("uploaded is not a list");
  for (const JsonValue& item : list->items()) {
    const std::string text = TRY(item.as_string());
    const auto ulid = parse_ulid(text);
    if (!ulid) return invalid(fmt::format("\"{}\" is not a ULID", text));
    uploaded.push_back(*ulid);
  }
  return uploaded;
}

std::string format_shipped_list(const std::vector<Ulid>& uploaded) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("version", kListVersion).key("uploaded").begin_array();
  for (const Ulid& ulid : uploaded) json.value(ulid.to_string());
  json.end_array().end_object();
  return out + "\n";
}

Result<std::vector<Ulid>> read_shipped_list(FileSystem& files, const std::string& path) {
  if (!files.exists(path)) return not_found(path + ": there is no such file");
  const std::string json = TRY(read_file(files, path, kListBytesMax));
  auto uploaded = parse_shipped_list(json);
  if (!uploaded.ok()) return std::move(uploaded).status().with_prefix(path);
  return uploaded;
}

ShippedList::ShippedList(FileSystem& files, ShippingOptions options, Logger& log)
    : files_(files), options_(std::move(options)), log_(log), is_used_(options_.is_certain) {
  reload({});
}

void ShippedList::reload(const BlockList& blocks) {
  if (options_.list_path.empty()) return;
  const auto uploaded = read_shipped_list(files_, options_.list_path);
  const bool is_missing = uploaded.status().code() == Code::kNotFound;
  if (uploaded.ok()) {
    uploaded_ = {uploaded->begin(), uploaded->end()};
  } else if (was_readable_ && !is_missing) {
    log_.warn("The list of shipped blocks cannot be read; blocks wait",
              {{"error", uploaded.status().message()}});
  }
  was_readable_ = uploaded.ok() || is_missing;
  is_used_ = options_.is_certain || !is_missing;
  const auto count = std::count_if(blocks.begin(), blocks.end(),
                                   [&](const auto& block) { return is_waiting(block->meta()); });
  waiting_count_.store(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
}

bool ShippedList::is_waiting(const BlockMeta& meta) const {
  if (!is_used_ || options_.list_path.empty()) return false;
  return meta.compaction_level <= 1 && meta.sample_count > 0 && !uploaded_.contains(meta.ulid);
}

}  // namespace tarsier::tsdb
