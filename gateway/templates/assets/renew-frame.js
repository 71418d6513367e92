// How does a frame ask the agent for an application's page? With the question of its one parent, which alone gets to know.
"use strict";

(() => {
  const { find, ask } = window.latchkeyDevice;
  const { application, ports, probeTimeoutMs, answerTimeoutMs } = JSON.parse(document.body.dataset.renew);
  if (window.parent === window) return;

  /** Why the agent did not answer, or nothing when it did. */
  async function renew(challenge) {
    const accept = (probed) => !probed.enrolling;
    const found = await find({ ports, probeTimeoutMs, accept });
    if (found.kind !== "agent") return found.kind;
    const answered = await ask(found.port, "/challenge", { body: { challengeRequest: challenge }, timeoutMs: answerTimeoutMs });
    if (answered.late) return "timed-out";
    if (answered.lost) return "lost";
    if (answered.status !== 200) return answered.body.error ?? "failed";
    return answered.body.approved === true ? undefined : "denied";
  }

  /** Whether the challenge renews this application's session: nobody else's sign-in is handed on for its page. */
  function renews(challenge) {
    try {
      const payload = challenge.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
      return JSON.parse(atob(payload)).renews === application;
    } catch {
      return false;
    }
  }

  let asked = false;
  addEventListener("message", async (event) => {
    if (event.origin !== application || event.source !== window.parent || asked) return;
    if (event.data?.type !== "latchkey-renewal" || typeof event.data.challenge !== "string") return;
    if (!renews(event.data.challenge)) return;
    asked = true;
    const reason = await renew(event.data.challenge).catch(() => "failed");
    window.parent.postMessage({ type: "latchkey-renewal", ok: reason === undefined, reason }, application);
  });
  window.parent.postMessage({ type: "latchkey-renewal-ready" }, application);
})();
