// How does a page let the agent that opened it enrol? By its key's proof over 127.0.0.1, never by a code in an address.
"use strict";

(() => {
  const { find, ask, post, leave, view } = window.latchkeyDevice;
  const form = document.getElementById("enroll");
  const section = document.getElementById("device");
  const config = JSON.parse(form.dataset.enroll);
  const show = view(config.texts);
  const running = new AbortController();
  const { signal } = running;

  /** Ends with the page left, or with {phase, detail} that says why not. */
  async function enroll(name) {
    show("looking", "busy");
    const accept = (probed) => probed.enrolling;
    const onPrompt = () => show("prompt", "busy");
    const { ports, probeTimeoutMs, state } = config;
    const found = await find({ ports, probeTimeoutMs, accept, onPrompt, signal });
    if (found.kind !== "agent") return { phase: NOT_FOUND[found.kind] ?? found.kind };

    show("proving", "busy");
    const asked = await post(config.challengeUrl, { state }, { signal });
    if (asked.status !== 200) return refused(asked);
    const challenge = { body: { challengeRequest: asked.body.challenge }, timeoutMs: CALL_MS, signal };
    const proved = await ask(found.port, "/enroll/prove", challenge);
    if (proved.status !== 200) return { phase: phaseOf(proved) };

    const { key, proof } = proved.body;
    const granted = await post(config.tokenUrl, { state, key, proof }, { signal });
    if (granted.status !== 200) return refused(granted);
    const token = { body: { token: granted.body.token, name }, timeoutMs: CALL_MS, signal };
    const taken = await ask(found.port, "/enroll/token", token);
    if (taken.status !== 204) return { phase: phaseOf(taken) };
    return follow(found.port, name);
  }

  /** Says how far the agent is until it is done or has failed. */
  async function follow(port, name) {
    const end = performance.now() + config.answerTimeoutMs;
    let last = "waiting";
    let misses = 0;
    while (performance.now() < end && !signal.aborted) {
      const progress = await ask(port, "/enroll/status", { timeoutMs: CALL_MS, signal });
      misses = progress.status === 200 ? 0 : misses + 1;
      const { step, message } = progress.status === 200 ? progress.body : {};
      if (step === "done") return done(message ?? name);
      if (step === "failed") return { phase: "failed", detail: { title: config.texts.failedTitle, detail: message ?? config.texts.failedText } };
      // An agent that is done goes its way.
      if (misses >= 3) return last === "finishing" ? done(name) : { phase: "lost" };
      if (step) {
        last = step;
        show(camel(step), "busy");
      }
      await pause(POLL_MS);
    }
    return { phase: "timedOut" };
  }

  function done(name) {
    mark(3);
    show("done", "good");
    const url = new URL(config.doneUrl, location.href);
    url.searchParams.set("enrolled", name);
    leave(url.href);
  }

  /** Which of the named steps is the present one. */
  function mark(present) {
    for (const [index, step] of [...document.querySelectorAll("#steps > li")].entries()) {
      step.dataset.state = index < present ? "done" : index === present ? "now" : "later";
      if (index === present) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    }
  }

  function refused(answer) {
    const { title, detail } = answer.body ?? {};
    return { phase: "unreachable", detail: title ? { title, detail: detail ?? "" } : undefined };
  }

  function phaseOf(answered) {
    if (answered.late) return "timedOut";
    if (answered.lost) return "lost";
    if (answered.status === 503) return "other";
    return answered.body.error === "bad-challenge" ? "foreign" : "lost";
  }

  async function begin() {
    const name = document.getElementById("name").value.trim();
    form.hidden = true;
    section.hidden = false;
    mark(2);
    const failed = await enroll(name).catch(() => ({ phase: "unreachable" }));
    if (!failed || signal.aborted) return;
    show(failed.phase, "bad", failed.detail);
    document.getElementById("device-again").focus();
  }

  const camel = (step) => step.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
  const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
  const NOT_FOUND = { slow: "absent", unwanted: "absent" };
  const CALL_MS = 10_000;
  const POLL_MS = 300;

  addEventListener("pagehide", () => running.abort());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.getElementById("device-again").addEventListener("click", begin);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin();
  });
})();
