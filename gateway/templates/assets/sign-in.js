// How does a page have the device sign its user in? Find the agent, get a question, hand it on, say that it was answered.
"use strict";

(() => {
  const { find, ask, post, leave, view } = window.latchkeyDevice;
  const place = document.getElementById("device");
  const config = JSON.parse(place.dataset.device);
  let running = new AbortController();

  /** Ends with the page left, or with {phase, detail} that says why not. */
  async function signIn(show, signal) {
    show("looking", "busy");
    const { ports, probeTimeoutMs, answerTimeoutMs, state } = config;
    const accept = (probed) => !probed.enrolling;
    const onPrompt = () => show("prompt", "busy");
    const found = await find({ ports, probeTimeoutMs, accept, onPrompt, signal });
    remember(found.kind);
    if (found.kind !== "agent") return { phase: NOT_FOUND[found.kind] ?? found.kind };

    const asked = await post(config.challengeUrl, question(), { signal });
    if (asked.status === 400 && config.silent && !isReloaded()) return location.reload();
    if (asked.status !== 200) return refused(asked);
    const { challenge, attempt, verify } = asked.body;

    show((verify ?? config.verify) ? "pin" : "confirm", "busy");
    const body = { challengeRequest: challenge };
    const answered = await ask(found.port, "/challenge", { body, timeoutMs: answerTimeoutMs, signal });
    const approved = answered.status === 200 && answered.body.approved === true;
    if (approved) show("approved", "good");
    const code = answered.body?.error;
    if (answered.status !== 200 && code !== "not-taken") return { phase: phaseOf(answered) };

    // The gateway has the answer, whatever it was: only it says what follows.
    const finished = await post(config.finishUrl, { state, attempt }, { signal });
    const next = finished.body?.next ?? finished.body?.page;
    if (finished.status === 200 && next) return leave(next);
    if (answered.status === 200 && !approved) return { phase: "denied" };
    return refused(finished, code === "not-taken" ? "notTaken" : undefined);
  }

  /** A page that another tab's cookie made too old is loaded anew, once. */
  function isReloaded() {
    return performance.getEntriesByType("navigation")[0]?.type === "reload";
  }

  /** Has the form say with the username whether an agent was found, where that is known. */
  function remember(kind) {
    const field = document.getElementById("installed");
    const installed = { agent: true, unwanted: true, absent: false }[kind];
    if (!field || installed === undefined) return;
    field.value = String(installed);
    field.disabled = false;
  }

  function question() {
    const asked = { state: config.state };
    if (config.silent) asked.verify = false;
    else if (config.verify) asked.verify = true;
    if (config.loginHint) asked.loginHint = config.loginHint;
    return asked;
  }

  /** What the gateway says, or that it says nothing. */
  function refused(answer, phase = "unreachable") {
    const { title, detail } = answer.body ?? {};
    return { phase, detail: title ? { title, detail: detail ?? "" } : undefined };
  }

  function phaseOf(answered) {
    if (answered.late) return "timedOut";
    if (answered.lost) return "lost";
    if (answered.status === 503) return "other";
    return REFUSED[answered.body.error] ?? "failed";
  }

  /** Beside the username: quiet, and given up as soon as the person types. */
  async function quietly() {
    const { lookingTitle, promptTitle, approvedText } = config.texts;
    const show = (phase) => { place.textContent = { looking: lookingTitle, prompt: promptTitle }[phase] ?? approvedText; };
    document.addEventListener("input", () => running.abort(), { once: true });
    document.addEventListener("submit", () => running.abort(), { once: true });
    const failed = await signIn(show, running.signal).catch(() => ({}));
    if (failed) place.textContent = "";
  }

  /** On its own page: says each step, and what to do when one fails. */
  async function openly() {
    running = new AbortController();
    const { signal } = running;
    const show = view(config.texts);
    document.getElementById("device-status").hidden = false;
    const failed = await signIn(show, signal).catch(() => ({ phase: "unreachable" }));
    if (!failed || signal.aborted) return;
    show(failed.phase, "bad", failed.detail);
    document.getElementById("device-again").focus();
  }

  const NOT_FOUND = { slow: "absent", unwanted: "enrolling" };
  const REFUSED = {
    "no-account": "noAccount",
    "which-account": "whichAccount",
    "bad-challenge": "badChallenge",
    busy: "busy",
    failed: "failed",
  };

  addEventListener("pagehide", () => running.abort());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.getElementById("device-again")?.addEventListener("click", openly);
  if (config.silent) quietly();
  else openly();
})();
