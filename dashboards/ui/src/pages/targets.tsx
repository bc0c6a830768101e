import { ago, type Labels, seconds } from "../format";
import { Badge, Filter, LabelList, Shown } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { place, setParameters } from "../router";

export interface TargetJson {
  discoveredLabels: Labels;
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  globalUrl: string;
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
  health: "up" | "down" | "unknown";
  scrapeInterval: string;
  scrapeTimeout: string;
}

export interface TargetsJson {
  activeTargets: TargetJson[];
  droppedTargets: { discoveredLabels: Labels; scrapePool?: string }[];
  droppedTargetCounts: Record<string, number>;
}

const kHealths = ["down", "unknown", "up"] as const;

export function TargetsPage() {
  const loaded = useAnswer<TargetsJson>("api/v1/targets", { state: "active" });
  const search = (place.value.search.get("search") ?? "").toLowerCase();
  const health = place.value.search.get("health") ?? "";
  return (
    <>
      <h1>Targets</h1>
      <Shown of={loaded}>
        {({ activeTargets }, now) => {
          const found = activeTargets.filter((t) =>
            `${t.scrapePool} ${t.scrapeUrl} ${t.lastError} ${JSON.stringify(t.labels)}`.toLowerCase().includes(search),
          );
          const shown = found.filter((t) => health === "" || t.health === health);
          const pools = [...new Set(shown.map((t) => t.scrapePool))].sort();
          return (
            <>
              <div class="controls">
                {kHealths.map((one) => (
                  <button
                    type="button"
                    key={one}
                    aria-pressed={health === one}
                    onClick={() => setParameters({ health: health === one ? "" : one })}
                  >
                    <Badge health={healthOf(one)}>
                      {one} {found.filter((t) => t.health === one).length}
                    </Badge>
                  </button>
                ))}
                <Filter value={search} label="Filter targets" onInput={(text) => setParameters({ search: text })} />
              </div>
              {activeTargets.length === 0 && (
                <p class="dim">
                  Nothing is scraped. Add <code>scrape_configs</code> to the configuration and reload, or have agents
                  send with remote write.
                </p>
              )}
              {pools.map((pool) => (
                <Pool key={pool} name={pool} targets={shown.filter((t) => t.scrapePool === pool)} now={now} />
              ))}
            </>
          );
        }}
      </Shown>
    </>
  );
}

function healthOf(health: string) {
  return health === "up" ? "good" : health === "down" ? "bad" : "none";
}

function Pool({ name, targets, now }: { name: string; targets: TargetJson[]; now: number }) {
  const up = targets.filter((t) => t.health === "up").length;
  return (
    <article class="panel">
      <h2>
        {name}{" "}
        <Badge health={up === targets.length ? "good" : "bad"}>
          {up} of {targets.length} up
        </Badge>
      </h2>
      <div class="scroll">
        <table>
          <caption class="hidden">Targets of {name}</caption>
          <thead>
            <tr>
              <th scope="col">Health</th>
              <th scope="col">Target</th>
              <th scope="col">Labels</th>
              <th scope="col">Last scrape</th>
              <th scope="col" class="number">
                Took
              </th>
            </tr>
          </thead>
          <tbody>
            {targets.slice(0, 1000).map((target) => (
              <tr key={target.scrapeUrl + JSON.stringify(target.labels)}>
                <td>
                  <Badge health={healthOf(target.health)}>{target.health}</Badge>
                </td>
                <td>
                  <a href={target.globalUrl} rel="noopener noreferrer">
                    {target.scrapeUrl}
                  </a>
                  {target.lastError && <div class="box bad">{target.lastError}</div>}
                </td>
                <td>
                  <LabelList labels={target.labels} />
                </td>
                <td>{ago(Date.parse(target.lastScrape), now)}</td>
                <td class="number">{seconds(target.lastScrapeDuration)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </article>
  );
}
