import { useStatus } from "../api/queries";
import { compact, count, span } from "../lib/format";
import { usePath } from "../lib/route";
import { setTheme, useTheme, type Theme } from "../lib/theme";
import { local } from "../lib/time";
import { Link } from "./Link";
import { Mark } from "./Mark";
import { Segmented } from "./Segmented";

const pages = [
  { href: "/", label: "Deployments", active: (p: string) => p === "/" || p.startsWith("/d/") },
  { href: "/models", label: "Models", active: (p: string) => p === "/models" },
  { href: "/pipelines", label: "Pipelines", active: (p: string) => p === "/pipelines" },
  { href: "/sql", label: "SQL", active: (p: string) => p === "/sql" },
];

const themes = [
  { value: "system", label: "Auto", title: "as the system has it" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
] as const satisfies readonly { value: Theme; label: string; title?: string }[];

export function TopBar() {
  const path = usePath();
  const theme = useTheme();
  return (
    <header className="topbar">
      <Link href="/" className="brand" aria-label="fairlead, all deployments">
        <Mark />
        <span>fairlead</span>
      </Link>
      <nav aria-label="Pages">
        {pages.map((p) => (
          <Link key={p.href} href={p.href} aria-current={p.active(path) ? "page" : undefined}>
            {p.label}
          </Link>
        ))}
      </nav>
      <ServerStatus />
      <Segmented label="Theme" options={themes} value={theme} onChange={setTheme} />
    </header>
  );
}

/** ServerStatus shows what the server has recorded, dropped and stored, and how far the store is behind. */
function ServerStatus() {
  const { data, error } = useStatus();
  const state = error ? "lost" : !data ? "waiting" : data.dropped > 0 ? "dropping" : "well";
  const said = { lost: "not connected", waiting: "connecting", dropping: "dropping rows", well: "connected" }[state];
  return (
    <div className="server" data-testid="server-status" data-state={state}>
      <span className={`dot ${state}`} title={data ? `fairlead ${data.version}, ${data.engine}` : said} />
      <span className="sr">{said}</span>
      <Fact name="recorded" value={compact(data?.recorded)} title={`${count(data?.recorded)} rows handed to the recorder since the start`} />
      <Fact name="dropped" value={compact(data?.dropped)} bad={(data?.dropped ?? 0) > 0} title="rows answered but neither counted nor stored, because the recorder’s queue was full" />
      <Fact name="stored" value={compact(data?.stored)} title={`${count(data?.stored)} rows in the evaluation store, ${count(data?.labels)} labels`} />
      <Fact name="lag" value={span(data?.lag_seconds)} title={`age of the oldest event not yet in the evaluation store; a crash may lose the last ${span(data?.loss_window_seconds)}`} />
    </div>
  );
}

function Fact({ name, value, title, bad = false }: { name: string; value: string; title: string; bad?: boolean }) {
  return (
    <span className={bad ? "fact bad" : "fact"} title={title}>
      <b>{value}</b> {name}
    </span>
  );
}

/** LostNotice says that what is on screen is the last known picture. */
export function LostNotice() {
  const { error, dataUpdatedAt } = useStatus();
  if (!error?.lost) return null;
  return (
    <div className="lost" role="status" data-testid="lost">
      <b>Connection lost.</b>{" "}
      {dataUpdatedAt > 0 ? `This is the picture of ${local(dataUpdatedAt)}.` : "Nothing was received yet."} Trying again every second.
    </div>
  );
}
