import { render } from "preact";
import { App } from "./app";
import { applyTheme } from "./ui/theme";

applyTheme();
render(<App />, document.getElementById("studio")!);
