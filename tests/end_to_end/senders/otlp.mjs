// Sends two rounds of every kind of instrument with OpenTelemetry's SDK: node otlp.mjs proto|json cumulative|delta URL
import { OTLPMetricExporter as JsonExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtoExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  AggregationType,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";

const [form, temporality, url] = process.argv.slice(2);
const Exporter = form === "proto" ? ProtoExporter : JsonExporter;
const exporter = new Exporter({
  url,
  temporalityPreference:
    temporality === "delta" ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE,
});
const provider = new MeterProvider({
  resource: resourceFromAttributes({
    "service.name": `js-${form}-${temporality}`,
    "service.instance.id": "i",
    "host.name": "here",
  }),
  readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
  views: [
    {
      instrumentName: "latency.exponential",
      aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM, options: { maxSize: 40, recordMinMax: true } },
    },
  ],
});
const meter = provider.getMeter("senders", "1");
const requests = meter.createCounter("requests", { unit: "{request}", description: "Requests." });
const queue = meter.createUpDownCounter("queue.length");
const classic = meter.createHistogram("latency", { unit: "s", advice: { explicitBucketBoundaries: [0.1, 1] } });
const exponential = meter.createHistogram("latency.exponential", { unit: "s" });
meter.createObservableGauge("temperature", { unit: "Cel" }).addCallback((r) => r.observe(21.5, { room: "a" }));

for (const round of [1, 2]) {
  requests.add(3, { "http.method": "GET" });
  queue.add(round === 1 ? 5 : -1);
  for (const v of [0.05, 0.5, 5]) {
    classic.record(v);
    exponential.record(v);
  }
  await provider.forceFlush();
  await new Promise((done) => setTimeout(done, 20));
}
await provider.shutdown();
