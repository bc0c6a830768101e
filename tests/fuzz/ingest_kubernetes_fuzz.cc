#include "ingest/discovery/kubernetes/targets.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// The first byte chooses the kind of object.
void fuzz_one(Bytes data) {
  if (data.empty()) return;
  const auto kind =
      static_cast<ingest::KubeKind>(std::to_integer<unsigned>(data[0]) % ingest::kKubeKindCount);
  const Result<JsonValue> json = parse_json(as_text(data.subspan(1)));
  if (!json.ok()) return;
  Result<ingest::KubeObject> object = ingest::parse_kube_object(kind, *json);
  if (!object.ok()) return;
  ingest::KubeStore store(1 << 20);
  store.put(*object);
  static_cast<void>(ingest::kube_targets(*object, store, {.node = true, .name_space = true}));
}

}  // namespace tarsier
