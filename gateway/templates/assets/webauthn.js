// How does a page ask a security key or passkey? Get a question, have the browser ask, bring the answer back.
"use strict";

(() => {
  const { post, leave, view } = window.latchkeyDevice;
  const place = document.querySelector("[data-webauthn]");
  const config = JSON.parse(place.dataset.webauthn);
  const adding = place.id === "add-key";
  let running = new AbortController();

  /** Ends with the page left, or with {phase, detail} that says why not. */
  async function run(show, signal) {
    if (!window.PublicKeyCredential) return { phase: "unsupported" };
    show("asking", "busy");
    const asked = await post(config.optionsUrl, { state: config.state }, { signal });
    if (asked.status !== 200) return refused(asked);
    const credential = await ask(decoded(asked.body.publicKey), signal);
    show("checking", "busy");
    const { attempt } = asked.body;
    const body = { state: config.state, attempt, credential: encoded(credential) };
    if (adding) body.name = document.getElementById("name").value.trim();
    const finished = await post(config.finishUrl, body, { signal });
    if (finished.status !== 200) return refused(finished);
    show("done", "good");
    leave(adding ? place.dataset.done : finished.body.next);
  }

  function ask(publicKey, signal) {
    if (adding) return navigator.credentials.create({ publicKey, signal });
    if (config.quiet) return navigator.credentials.get({ publicKey, signal, mediation: "conditional" });
    return navigator.credentials.get({ publicKey, signal });
  }

  /** The question as browsers take it: octets instead of text. */
  function decoded(publicKey) {
    const listed = (list) => list?.map((one) => ({ ...one, transports: one.transports ?? undefined, id: octets(one.id) }));
    const question = { ...publicKey, challenge: octets(publicKey.challenge) };
    if (publicKey.user) question.user = { ...publicKey.user, id: octets(publicKey.user.id) };
    if (publicKey.allowCredentials) question.allowCredentials = listed(publicKey.allowCredentials);
    if (publicKey.excludeCredentials) question.excludeCredentials = listed(publicKey.excludeCredentials);
    return question;
  }

  /** The answer as the gateway takes it: text instead of octets. */
  function encoded(credential) {
    const { id, rawId, type, response } = credential;
    const answer = { id, rawId: text(rawId), type, response: { clientDataJSON: text(response.clientDataJSON) } };
    answer.clientExtensionResults = extensions(credential.getClientExtensionResults());
    if (response.attestationObject) {
      answer.response.attestationObject = text(response.attestationObject);
      answer.response.transports = response.getTransports?.() ?? [];
    } else {
      answer.response.authenticatorData = text(response.authenticatorData);
      answer.response.signature = text(response.signature);
      answer.response.userHandle = response.userHandle ? text(response.userHandle) : null;
    }
    return answer;
  }

  const extensions = ({ credProps }) => (credProps ? { credProps } : {});

  function octets(encodedText) {
    const plain = atob(encodedText.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(plain, (character) => character.charCodeAt(0));
  }

  function text(buffer) {
    const plain = String.fromCharCode(...new Uint8Array(buffer));
    return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  /** What the gateway says, or that it says nothing. */
  function refused(answer) {
    const { title, detail } = answer.body ?? {};
    if (answer.status === 429) return { phase: "tooMany" };
    return { phase: "unreachable", detail: title ? { title, detail: detail ?? "" } : undefined };
  }

  /** What the browser says: it tells nobody apart who cancelled from who has no key. */
  function thrown(error) {
    if (error.name === "InvalidStateError") return { phase: "known" };
    if (error.name === "NotAllowedError" || error.name === "AbortError") return { phase: "cancelled" };
    return { phase: "failed" };
  }

  /** On its own page: says each step, and what to do when one fails. */
  async function openly() {
    running.abort();
    running = new AbortController();
    const { signal } = running;
    const show = view(config.texts);
    const status = document.getElementById("device-status") ?? document.getElementById("device");
    status.hidden = false;
    const failed = await run(show, signal).catch(thrown);
    if (!failed || signal.aborted) return;
    show(failed.phase, "bad", failed.detail);
    document.getElementById("device-again").focus();
  }

  /** Beside the username: the browser offers the passkeys it knows. A question that gets old is asked anew. */
  async function quietly() {
    if (!(await window.PublicKeyCredential?.isConditionalMediationAvailable?.())) return;
    const { signal } = running;
    const renewed = setTimeout(() => {
      running.abort();
      running = new AbortController();
      quietly();
    }, RENEW_MS);
    const failed = await run(() => {}, signal).catch(thrown);
    clearTimeout(renewed);
    if (!failed || signal.aborted || failed.phase !== "unreachable" || !failed.detail) return;
    place.textContent = `${failed.detail.title}. ${failed.detail.detail}`;
    place.hidden = false;
  }

  const RENEW_MS = 240_000;

  addEventListener("pagehide", () => running.abort());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.getElementById("device-again")?.addEventListener("click", openly);
  if (adding) {
    place.addEventListener("submit", (event) => {
      event.preventDefault();
      place.hidden = true;
      openly();
    });
  } else if (config.quiet) {
    document.addEventListener("submit", () => running.abort(), { once: true });
    quietly();
  } else {
    openly();
  }
})();
