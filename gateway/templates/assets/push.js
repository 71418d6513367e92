// How does the page go on once another device has answered? It asks now and then, and sends its form: what follows is the
// gateway's to say. Without this script the person does it.
"use strict";

(() => {
  const form = document.getElementById("push");
  let timer;

  async function look() {
    const settled = await isSettled().catch(() => false);
    if (settled) return form.requestSubmit();
    timer = setTimeout(look, PAUSE_MS);
  }

  async function isSettled() {
    const response = await fetch(form.dataset.status, { cache: "no-store" });
    return response.ok && (await response.json()).settled === true;
  }

  const PAUSE_MS = 1000;

  addEventListener("pagehide", () => clearTimeout(timer));
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  form.addEventListener("submit", () => clearTimeout(timer));
  look();
})();
