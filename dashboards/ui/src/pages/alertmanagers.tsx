import { Shown } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";

interface Found {
  activeAlertmanagers: { url: string }[];
  droppedAlertmanagers: { url: string }[];
}

export function AlertmanagersPage() {
  const loaded = useAnswer<Found>("api/v1/alertmanagers");
  return (
    <>
      <h1>Alertmanagers</h1>
      <Shown of={loaded}>
        {({ activeAlertmanagers, droppedAlertmanagers }) => (
          <>
            <Urls title="Active" urls={activeAlertmanagers.map((one) => one.url)} />
            <Urls title="Dropped by relabelling" urls={droppedAlertmanagers.map((one) => one.url)} />
          </>
        )}
      </Shown>
    </>
  );
}

function Urls({ title, urls }: { title: string; urls: string[] }) {
  return (
    <article class="panel">
      <h2>{title}</h2>
      {urls.length === 0 ? (
        <p class="dim">None.</p>
      ) : (
        <ul>
          {urls.map((url) => (
            <li key={url}>
              <code>{url}</code>
            </li>
          ))}
        </ul>
      )}
    </article>
  );
}
