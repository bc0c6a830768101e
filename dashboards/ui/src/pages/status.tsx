import { bytes, count } from "../format";
import { CopyButton, Filter, Shown, Table, Time } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { place, setParameters } from "../router";

export function StatusPage() {
  const build = useAnswer<Record<string, string>>("api/v1/status/buildinfo");
  const runtime = useAnswer<Record<string, string | number | boolean>>("api/v1/status/runtimeinfo");
  return (
    <>
      <h1>Status</h1>
      <div class="columns">
        <article class="panel">
          <h2>Build</h2>
          <Shown of={build}>{(data) => <Pairs of={data} />}</Shown>
        </article>
        <article class="panel">
          <h2>Runtime</h2>
          <Shown of={runtime}>{(data) => <Pairs of={data} />}</Shown>
        </article>
      </div>
      <Blocks />
    </>
  );
}

function Pairs({ of }: { of: Record<string, string | number | boolean> }) {
  return (
    <table>
      <tbody>
        {Object.entries(of)
          .filter(([, value]) => value !== "")
          .map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{String(value)}</td>
            </tr>
          ))}
      </tbody>
    </table>
  );
}

interface BlockJson {
  ulid: string;
  minTime: number;
  maxTime: number;
  stats: { numSamples: number; numSeries: number; numChunks: number; numBytes?: number };
  compaction: { level: number };
}

function Blocks() {
  const loaded = useAnswer<{ blocks: BlockJson[] }>("api/v1/status/tsdb/blocks");
  return (
    <article class="panel">
      <h2>Blocks</h2>
      <Shown of={loaded}>
        {({ blocks }) =>
          blocks.length === 0 ? (
            <p class="dim">None yet: the newest hours are in memory and in the write-ahead log.</p>
          ) : (
            <Table
              caption="Blocks on disk"
              rows={blocks}
              keyOf={(block) => block.ulid}
              columns={[
                { name: "ULID", cell: (b) => <code>{b.ulid}</code> },
                { name: "From", cell: (b) => <Time ms={b.minTime} />, sort: (b) => b.minTime },
                { name: "To", cell: (b) => <Time ms={b.maxTime} />, sort: (b) => b.maxTime },
                { name: "Level", number: true, cell: (b) => b.compaction.level, sort: (b) => b.compaction.level },
                { name: "Series", number: true, cell: (b) => count(b.stats.numSeries), sort: (b) => b.stats.numSeries },
                { name: "Samples", number: true, cell: (b) => count(b.stats.numSamples), sort: (b) => b.stats.numSamples },
                { name: "Size", number: true, cell: (b) => (b.stats.numBytes ? bytes(b.stats.numBytes) : "–") },
              ]}
            />
          )
        }
      </Shown>
    </article>
  );
}

export function ConfigPage() {
  const loaded = useAnswer<{ yaml: string }>("api/v1/status/config");
  return (
    <>
      <h1>Configuration</h1>
      <p class="dim">As it is in force, with every default filled in and secrets hidden.</p>
      <Shown of={loaded}>
        {({ yaml }) => (
          <>
            <CopyButton text={yaml} />
            <pre class="panel">{yaml}</pre>
          </>
        )}
      </Shown>
    </>
  );
}

export function FlagsPage() {
  const loaded = useAnswer<Record<string, string>>("api/v1/status/flags");
  const search = (place.value.search.get("search") ?? "").toLowerCase();
  return (
    <>
      <h1>Command-line flags</h1>
      <Filter value={search} label="Filter flags" onInput={(text) => setParameters({ search: text })} />
      <Shown of={loaded}>
        {(flags) => (
          <Table
            caption="Flags"
            rows={Object.entries(flags).filter((row) => row.join(" ").toLowerCase().includes(search))}
            keyOf={([name]) => name}
            columns={[
              { name: "Flag", cell: ([name]) => <code>--{name}</code>, sort: ([name]) => name },
              { name: "Value", cell: ([, value]) => <code>{value}</code>, sort: ([, value]) => value },
            ]}
          />
        )}
      </Shown>
    </>
  );
}
