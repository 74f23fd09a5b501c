import { render } from "preact";
import { App } from "./app.js";
import { open } from "./model.js";

render(<App />, document.getElementById("app")!);
void open();

// It makes the page open without a network. Where there is none (private windows, vite's own server) the page works all the same.
navigator.serviceWorker?.register(new URL("service-worker.js", document.baseURI)).catch(() => {});
