// Keeps a page of a run that goes on up to date: asks its server for the contents and puts them in place.
"use strict";
(() => {
  const every = 5000; // milliseconds
  let shown = "";

  const note = (text) => {
    const line = document.getElementById("live");
    if (line) line.textContent = text;
  };

  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch("/run/data", { cache: "no-store" });
      if (!answer.ok) throw new Error(`the server says ${answer.status}`);
      const text = await answer.text();
      if (text !== shown) {
        const { title, body, charts } = JSON.parse(text);
        const open = [...document.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
        document.title = "FlashLM: " + title;
        document.querySelector("main").innerHTML = body; // the server's own HTML, in which text is escaped
        for (const summary of document.querySelectorAll("details > summary")) {
          summary.parentElement.open = open.includes(summary.textContent);
        }
        dispatchEvent(new CustomEvent("newdata", { detail: charts }));
        shown = text;
      }
      note("as of " + new Date().toLocaleTimeString());
    } catch (error) {
      note(`not up to date: ${error.message}`);
    }
  }

  setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
  refresh();
})();
