#include "tests/fuzz/fuzz.h"

#include <string>

#include "base/bytes.h"
#include "tracing/policy/ottl.h"
#include "tracing/policy/policy_set.h"
#include "tracing/span.h"
#include "tracing/span_writer.h"
#include "tracing/tail_sampler.h"

namespace tarsier {
namespace {

std::string request() {
  const tracing::TraceId trace{1, 2};
  tracing::SpanWriter span(trace, tracing::SpanId{3});
  span.name("GET /").times(1'000'000, 9'000'000).trace_state("a=b,ot=th:8");
  span.attribute("k", "v").attribute("n", 5).event(tracing::EventWriter(5, "e").attribute("k", 1));
  tracing::RequestWriter out;
  out.resource(tracing::ResourceWriter().attribute("service.name", "shop").wire());
  out.span(span.wire());
  return out.take();
}

}  // namespace

// Whatever compiles as policies judges a trace and explains itself; whatever parses as a condition
// can be asked of a span.
void fuzz_one(Bytes input) {
  static const auto batch = tracing::SpanBatch::decode(request()).value();
  const std::string_view text = as_text(input);
  for (const auto over :
       {tracing::ConditionSet::Over::kSpan, tracing::ConditionSet::Over::kEvent}) {
    auto parsed = tracing::parse_ottl(text, over);
    if (!parsed.ok()) continue;
    tracing::ConditionSet conditions;
    CHECK(conditions.add("c", over, std::move(parsed).value()).ok());
    tracing::ConditionSet::Scratch scratch;
    std::vector<tracing::FieldValue> resource;
    tracing::ConditionBits bits;
    conditions.read_resource(batch->resources()[0].wire, resource);
    conditions.match(batch->spans()[0], resource, scratch, bits);
  }
  auto policies = tracing::compile_policies(text);
  if (!policies.ok()) return;
  tracing::OperationTable operations;
  tracing::TailSampler sampler(std::move(policies).value(), operations, {});
  tracing::TailSampler::Scratch scratch;
  sampler.begin_batch(*batch, scratch);
  tracing::TraceEvidence evidence;
  sampler.observe(*batch, batch->spans()[0], scratch, evidence);
  for (int i = 0; i < 3; ++i) {
    const tracing::TailSampler::Context context{.id = {1, 2}, .now = Timestamp{i * 20'000}};
    const auto decision = sampler.decide(evidence, context);
    CHECK(!decision.is_kept || decision.adjusted_count == 0 || decision.adjusted_count >= 1);
    sampler.explain(evidence, context);
    sampler.is_kept_for_good(evidence, context);
  }
}

}  // namespace tarsier
