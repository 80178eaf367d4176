// Pages are whole without this. With it, parts marked data-live are renewed when the server says that something changed.
"use strict";
(() => {
  const script = document.currentScript;
  const EVERY_MS = 2000;
  let last = 0, planned = 0, busy = false;

  async function renew() {
    planned = 0;
    if (busy || document.hidden) return;
    busy = true;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, credentials: "same-origin" });
      if (answer.redirected) { location.reload(); return; }
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live][id]")) {
        const other = fresh.getElementById(part.id);
        // whoever is typing or reading with the keyboard in a part keeps it
        if (!other || part.contains(document.activeElement) || part.outerHTML === other.outerHTML) continue;
        const down = part.scrollTop + part.clientHeight >= part.scrollHeight - 4, top = part.scrollTop;
        part.replaceWith(other);
        other.scrollTop = down && "tail" in other.dataset ? other.scrollHeight : top;
      }
    } catch { /* the next event tries again */ } finally { busy = false; }
  }

  function soon() {
    if (planned) return;
    planned = setTimeout(renew, Math.max(0, last + EVERY_MS - Date.now()));
  }

  function stream(address, on) {
    const source = new EventSource(address);
    for (const [name, act] of Object.entries(on)) source.addEventListener(name, act);
    addEventListener("pagehide", () => source.close());
    return source;
  }

  if (script.dataset.events && document.querySelector("[data-live]:not(.ribbon)")) {
    stream(script.dataset.events, { status: soon, run: soon });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  }

  // live ticks: each cell named data-tick="EXCHANGE.CODE|field" shows the newest value
  const board = document.querySelector("[data-ticks]");
  if (board) {
    stream(board.dataset.ticks, { tick: (event) => {
      const tick = JSON.parse(event.data);
      for (const cell of board.querySelectorAll(`[data-tick^="${CSS.escape(tick.instrument)}|"]`)) {
        const value = tick[cell.dataset.tick.split("|")[1]];
        cell.textContent = value === null || value === undefined ? "–" : String(value);
      }
    } });
  }
})();
