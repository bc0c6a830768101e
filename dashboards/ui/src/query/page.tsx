import { go, place } from "../router";
import { emptyPanel, type Panel, readPanels, writePanels } from "./panels";
import { PanelView } from "./panel_view";

export function QueryPage() {
  const panels = readPanels(place.value.search);
  const show = (next: Panel[]) => go("/query", writePanels(next));
  return (
    <>
      <h1 class="hidden">Query</h1>
      {panels.map((panel, n) => (
        <PanelView
          key={n}
          panel={panel}
          onChange={(changed) => show(panels.map((one, i) => (i === n ? changed : one)))}
          onRemove={panels.length > 1 ? () => show(panels.filter((_, i) => i !== n)) : undefined}
        />
      ))}
      <button type="button" onClick={() => show([...panels, emptyPanel()])}>
        Add query
      </button>
    </>
  );
}
