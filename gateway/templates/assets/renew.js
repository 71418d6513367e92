// How does a page of an application go on when its device's proof is too old? It renews it, and loses nothing.
//
//   await latchkey.renew();                              renews the proof, or rejects with an Error that has a `code`
//   const response = await latchkey.fetch("/api/…");     fetch that renews once where the gateway asks for it
//   window.fetch = latchkey.fetch;                       has scripts do so that know nothing of this one
"use strict";

(() => {
  const plainFetch = window.fetch.bind(window);
  let renewing;
  let renewals = 0;

  /** Renews the device's proof. Calls at the same time share one renewal. */
  function renew() {
    renewing ??= alone(renewOnce).finally(() => { renewing = undefined; });
    return renewing;
  }

  /** Does this while no tab renews: of two renewals that began with the same cookie, one would come to nothing. */
  function alone(what) {
    return navigator.locks.request("latchkey-renewal", what);
  }

  /** Fetches; where the gateway answers that the proof is too old, renews it and fetches once more. */
  async function fetchRenewing(input, init) {
    const request = new Request(input, init);
    if (new URL(request.url).origin !== location.origin) return plainFetch(request);
    const again = request.clone();
    const before = renewals;
    const response = await plainFetch(request);
    const error = refusal(response);
    // A renewal, another tab's too, replaces the cookie: what left with the one before is refused if it comes after that.
    const mayBeOvertaken = error === "not-signed-in" || error === "session-ended";
    if (error !== "proof-too-old" && !mayBeOvertaken) return response;
    try {
      if (mayBeOvertaken) await alone(() => {});
      else if (renewals === before) await renew();
    } catch {
      return response;
    }
    return plainFetch(again);
  }

  /** Why the gateway refuses for want of a session or a proof, if it does: an application's own 401 is not meant. */
  function refusal(response) {
    const challenge = response.headers.get("www-authenticate") ?? "";
    if (response.status !== 401 || !challenge.includes('realm="latchkey"')) return undefined;
    return /error="([^"]*)"/.exec(challenge)?.[1] ?? "not-signed-in";
  }

  async function renewOnce() {
    const { frame, challenge, attempt } = await post("/.latchkey/renew", {});
    const reason = await handOver(frame, challenge);
    if (reason !== undefined) throw failure(reason, "The device did not prove itself.");
    await post("/.latchkey/renew/finish", { attempt });
    renewals += 1;
  }

  /** Has the gateway's frame ask the device. Resolves to the reason why it did not answer, or to nothing. */
  function handOver(address, challenge) {
    const { origin } = new URL(address);
    const frame = document.createElement("iframe");
    frame.hidden = true;
    frame.title = "Latchkey";
    frame.allow = "local-network-access; loopback-network";
    frame.src = address;
    return new Promise((resolve) => {
      const finish = (reason) => {
        clearTimeout(timer);
        removeEventListener("message", heard);
        frame.remove();
        resolve(reason);
      };
      const heard = (event) => {
        if (event.origin !== origin || event.source !== frame.contentWindow) return;
        if (event.data?.type === "latchkey-renewal-ready") {
          frame.contentWindow.postMessage({ type: "latchkey-renewal", challenge }, origin);
        } else if (event.data?.type === "latchkey-renewal") {
          finish(event.data.ok === true ? undefined : String(event.data.reason));
        }
      };
      const timer = setTimeout(() => finish("timed-out"), FRAME_MS);
      addEventListener("message", heard);
      document.documentElement.append(frame);
    });
  }

  async function post(path, body) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), CALL_MS);
    try {
      const response = await plainFetch(path, {
        method: "POST",
        mode: "same-origin",
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        headers: { accept: "application/json", "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: controller.signal,
      });
      const answer = await response.json().catch(() => ({}));
      if (response.ok) return answer;
      throw failure(answer.code ?? "failed", answer.detail ?? answer.title ?? "The gateway did not renew the proof.");
    } finally {
      clearTimeout(timer);
    }
  }

  function failure(code, message) {
    return Object.assign(new Error(message), { name: "LatchkeyError", code });
  }

  const CALL_MS = 15_000;
  const FRAME_MS = 30_000;

  Object.defineProperty(window, "latchkey", { value: Object.freeze({ renew, fetch: fetchRenewing }) });
})();
