import "@fontsource-variable/instrument-sans/wght.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import { render } from "preact";
import { App } from "./app";
import { followTheme } from "./state/settings";

followTheme();
render(<App />, document.getElementById("app")!);
