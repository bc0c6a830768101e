#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "server/config.h"
#include "server/config_emitter.h"
#include "server/config_reader.h"
#include "server/s3_bucket.h"

namespace tarsier::server {

/// The `thanos` section: where blocks are shipped to.
struct ThanosConfig {
  enum class Kind : unsigned char { kDirectory, kS3 };
  Kind kind = Kind::kDirectory;
  std::string directory;  ///< Of kDirectory.
  S3Config s3;            ///< Of kS3.
  std::string prefix;     ///< Empty, or with its slash at the end.
  bool has_hashes = false;
  std::string objstore_file;  ///< Where all but has_hashes came from; empty: from the section.

  bool is_same_bucket(const ThanosConfig& other) const;
};

/// Null without such a section. kInvalid also when there are no external labels, which every block
/// in a bucket must have.
Result<std::shared_ptr<const ThanosConfig>> read_thanos(MapReader& top, const Config& config,
                                                        const ConfigSources& sources);
void render_thanos(Emitter& out, const ThanosConfig& thanos);

}  // namespace tarsier::server
