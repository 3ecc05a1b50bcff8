import { LostNotice, TopBar } from "./components/TopBar";
import { Link } from "./components/Link";
import { Empty } from "./components/Notice";
import { parseRoute, usePath } from "./lib/route";
import { DeploymentPage } from "./pages/DeploymentPage";
import { Models } from "./pages/Models";
import { Overview } from "./pages/Overview";
import { Pipelines } from "./pages/Pipelines";
import { Sql } from "./pages/Sql";

export function App() {
  const path = usePath();
  return (
    <>
      <TopBar />
      <LostNotice />
      <main>
        <Page path={path} />
      </main>
    </>
  );
}

function Page({ path }: { path: string }) {
  const route = parseRoute(path);
  switch (route.page) {
    case "overview":
      return <Overview />;
    case "deployment":
      return <DeploymentPage name={route.name} />;
    case "models":
      return <Models />;
    case "pipelines":
      return <Pipelines />;
    case "sql":
      return <Sql />;
    case "unknown":
      return (
        <Empty title="There is no such page" testid="unknown-page">
          <p><Link href="/">All deployments</Link></p>
        </Empty>
      );
  }
}
