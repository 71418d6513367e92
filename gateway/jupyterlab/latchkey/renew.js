// How does JupyterLab's page renew the proof of its device without losing its place? Before JupyterLab takes `fetch` for its
// own, that becomes the gateway's, which renews where it has to and fetches again.
"use strict";

(() => {
  /** What JupyterLab calls and waits for before it loads itself. */
  async function init() {
    await load("/.latchkey/renew.js");
    window.fetch = window.latchkey.fetch;
  }

  function load(address) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`no ${address}: is there a Latchkey gateway in front?`));
      document.head.append(script);
    });
  }

  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB.latchkey = { init };
})();
