import { Filter, LabelList, Shown } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { place, setParameters } from "../router";
import type { TargetsJson } from "./targets";

const kRows = 500;

export function DiscoveryPage() {
  const loaded = useAnswer<TargetsJson>("api/v1/targets");
  const search = (place.value.search.get("search") ?? "").toLowerCase();
  return (
    <>
      <h1>Service discovery</h1>
      <p class="dim">What was found, and the labels that relabelling made of it.</p>
      <Filter value={search} label="Filter" onInput={(text) => setParameters({ search: text })} />
      <Shown of={loaded}>
        {({ activeTargets, droppedTargets, droppedTargetCounts }) => {
          const rows = [
            ...activeTargets.map((t) => ({ pool: t.scrapePool, found: t.discoveredLabels, labels: t.labels })),
            ...droppedTargets.map((t) => ({ pool: t.scrapePool ?? "", found: t.discoveredLabels, labels: undefined })),
          ].filter((row) => JSON.stringify(row).toLowerCase().includes(search));
          const dropped = Object.values(droppedTargetCounts ?? {}).reduce((sum, n) => sum + n, 0);
          return (
            <>
              <p>
                {activeTargets.length} active, {dropped} dropped.
              </p>
              <div class="scroll">
                <table>
                  <caption class="hidden">Discovered targets</caption>
                  <thead>
                    <tr>
                      <th scope="col">Pool</th>
                      <th scope="col">Discovered labels</th>
                      <th scope="col">Target labels</th>
                    </tr>
                  </thead>
                  <tbody>
                    {rows.slice(0, kRows).map((row, i) => (
                      <tr key={i}>
                        <td>{row.pool}</td>
                        <td>
                          <LabelList labels={row.found} />
                        </td>
                        <td>{row.labels ? <LabelList labels={row.labels} /> : <i>dropped by relabelling</i>}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
              {rows.length > kRows && (
                <p class="dim">
                  {kRows} of {rows.length} rows; filter to see others.
                </p>
              )}
            </>
          );
        }}
      </Shown>
    </>
  );
}
