// How does a page find the agent on the same machine, and ask it? Plain HTTP to 127.0.0.1, each call bounded.
"use strict";

(() => {
  /** How long a port may be silent before the next one is tried beside it. */
  const STAGGER_MS = 20;
  /** How long a browser's own question to the person may stay open. */
  const PROMPT_MS = 60_000;
  /** What Chromium calls the permission to reach 127.0.0.1: the present name first. */
  const PERMISSIONS = ["loopback-network", "local-network-access"];
  /** Pages that are on this machine themselves need none, whatever the browser says of it. */
  const NEEDS_PERMISSION = !/(^|\.)localhost$|^127\./.test(location.hostname);

  /**
   * Looks for an agent on all ports; the first that answers and is acceptable wins.
   *
   * options: ports, probeTimeoutMs, accept(probed), signal, onPrompt(), onProbe(port, result, milliseconds)
   * Resolves to {kind: "agent", port} or to {kind: "absent" | "blocked" | "other" | "foreign" | "slow" | "unwanted" | "aborted"}.
   */
  function find(options) {
    const { ports, accept = () => true, signal, onProbe = () => {} } = options;
    const search = new AbortController();
    const waits = patience(options);
    return new Promise((resolve) => {
      const kinds = [];
      let next = 0;
      let timer;
      const finish = (result) => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
        search.abort();
        resolve(result);
      };
      const aborted = () => finish({ kind: "aborted" });
      const start = () => {
        clearTimeout(timer);
        if (search.signal.aborted || next >= ports.length) return;
        const port = ports[next];
        next += 1;
        timer = setTimeout(start, STAGGER_MS);
        const began = performance.now();
        probe(port, search.signal, waits, options.probeTimeoutMs).then(async ({ kind, probed }) => {
          if (search.signal.aborted) return;
          const wanted = kind === "agent" && accept(probed);
          onProbe(port, kind === "agent" && probed.enrolling ? "enrolling" : kind, performance.now() - began);
          if (wanted) return finish({ kind: "agent", port });
          kinds.push(kind === "agent" ? "unwanted" : kind);
          if (kinds.length === ports.length) return finish({ kind: await verdict(kinds, waits) });
          start();
        });
      };
      if (signal?.aborted) return aborted();
      signal?.addEventListener("abort", aborted, { once: true });
      if (ports.length === 0) return finish({ kind: "absent" });
      start();
    });
  }

  /** Asks one port. */
  async function probe(port, signal, waits, timeoutMs) {
    const bound = bounded(signal, timeoutMs, waits);
    try {
      const response = await fetch(address(port, "/probe"), { ...LOOPBACK, signal: bound.signal });
      waits.answered();
      if (response.status === 503) return { kind: "other" };
      if (!response.ok) return { kind: "foreign" };
      const probed = await response.json();
      return probed?.version === 1 ? { kind: "agent", probed } : { kind: "foreign" };
    } catch (error) {
      return { kind: bound.late() ? "slow" : error instanceof SyntaxError ? "foreign" : "absent" };
    } finally {
      bound.release();
    }
  }

  /**
   * A probe is held back while the browser asks the person: after it has connected, before it is sent. As long as no port
   * has answered and the browser says that it would ask, time is up later.
   */
  function patience({ onPrompt = () => {} }) {
    const waiting = new Set();
    const state = { heard: false, prompted: false };
    return {
      prompted: () => state.prompted,
      answered() {
        state.heard = true;
        for (const giveUp of waiting) giveUp();
        waiting.clear();
      },
      async moreTime(giveUp) {
        if (!NEEDS_PERMISSION || state.heard || (await permission()) !== "prompt" || state.heard) return false;
        if (!state.prompted) onPrompt();
        state.prompted = true;
        waiting.add(giveUp);
        return true;
      },
    };
  }

  /** A signal that fires when the outer one does or when time is up. */
  function bounded(outer, timeoutMs, waits) {
    const controller = new AbortController();
    let late = false;
    let timer;
    const abort = () => controller.abort();
    const expire = () => {
      late = true;
      abort();
    };
    const wait = (milliseconds, then) => {
      clearTimeout(timer);
      if (!controller.signal.aborted) timer = setTimeout(then, milliseconds);
    };
    wait(timeoutMs, async () => {
      const more = await waits?.moreTime(() => wait(timeoutMs, expire));
      if (more) wait(PROMPT_MS, expire);
      else expire();
    });
    outer?.addEventListener("abort", abort, { once: true });
    if (outer?.aborted) abort();
    return {
      signal: controller.signal,
      late: () => late,
      release() {
        clearTimeout(timer);
        controller.abort();
        outer?.removeEventListener("abort", abort);
      },
    };
  }

  /** What all ports together say; the browser's permission is asked about only now. */
  async function verdict(kinds, waits) {
    const first = ["unwanted", "other", "foreign"].find((kind) => kinds.includes(kind));
    if (first) return first;
    const granted = await permission();
    if (granted === "denied" || (granted === "prompt" && waits.prompted())) return "blocked";
    return kinds.includes("slow") ? "slow" : "absent";
  }

  /** "granted", "denied", "prompt", or "unknown" in browsers that have no such permission. */
  async function permission() {
    for (const name of PERMISSIONS) {
      try {
        return (await navigator.permissions.query({ name })).state;
      } catch {
        // This browser does not know the name.
      }
    }
    return "unknown";
  }

  /** Asks an agent. Resolves to {status, body}, or to {lost: true} or {late: true}. */
  function ask(port, path, { body, timeoutMs, signal }) {
    const method = body === undefined ? "GET" : "POST";
    return call(address(port, path), { ...LOOPBACK, ...json(method, body) }, timeoutMs, signal);
  }

  /** Asks the gateway. Resolves as [`ask`] does. */
  function post(url, body, { timeoutMs = 15_000, signal } = {}) {
    const options = { mode: "same-origin", credentials: "same-origin", cache: "no-store", redirect: "error" };
    return call(url, { ...options, ...json("POST", body) }, timeoutMs, signal);
  }

  async function call(url, options, timeoutMs, signal) {
    const bound = bounded(signal, timeoutMs);
    try {
      const response = await fetch(url, { ...options, signal: bound.signal });
      const text = await response.text();
      return { status: response.status, body: parsed(text) };
    } catch {
      return bound.late() ? { late: true } : { lost: true };
    } finally {
      bound.release();
    }
  }

  function parsed(text) {
    try {
      return JSON.parse(text) ?? {};
    } catch {
      return {};
    }
  }

  function json(method, body) {
    if (body === undefined) return { method, headers: { accept: "application/json" } };
    const headers = { accept: "application/json", "content-type": "application/json" };
    return { method, headers, body: JSON.stringify(body) };
  }

  /** Leaves for an address that the gateway names, without leaving this page in the history. */
  function leave(address) {
    const url = new URL(address, location.href);
    if (url.protocol === "https:" || url.origin === location.origin) location.replace(url);
  }

  /** Shows a step between page and device. */
  function view(texts) {
    const element = (id) => document.getElementById(id);
    return (phase, tone, detail) => {
      element("device").dataset.tone = tone;
      element("device").dataset.phase = phase;
      const title = detail?.title ?? texts[`${phase}Title`];
      const text = detail?.detail ?? texts[`${phase}Text`];
      if (element("device-title").textContent !== title) element("device-title").textContent = title;
      if (element("device-text").textContent !== text) element("device-text").textContent = text;
      element("device-again").hidden = tone !== "bad";
    };
  }

  const address = (port, path) => `http://127.0.0.1:${port}${path}`;
  const LOOPBACK = { mode: "cors", credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" };

  window.latchkeyDevice = Object.freeze({ find, ask, post, permission, leave, view });
})();
