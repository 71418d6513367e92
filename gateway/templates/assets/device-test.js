// What blocks the way from this browser to the agent? Tries each port and says what is to be done.
"use strict";

(() => {
  const { find, permission } = window.latchkeyDevice;
  const element = (id) => document.getElementById(id);
  const { ports, probeTimeoutMs, texts } = JSON.parse(element("test").dataset.test);
  const text = (name) => texts[name] ?? "";

  async function test() {
    element("again").disabled = true;
    element("results").replaceChildren();
    advise("running", "info");
    row(text("secure"), text(isSecureContext ? "secureYes" : "secureNo"), isSecureContext ? "good" : "bad");

    const results = new Map();
    // Nothing is acceptable, so that all ports are tried.
    const onProbe = (port, kind, milliseconds) => results.set(port, { kind, milliseconds });
    const { kind } = await find({ ports, probeTimeoutMs, accept: () => false, onProbe });

    const state = await permission();
    row(text("permission"), text(`permission${capital(state)}`), { granted: "good", denied: "bad" }[state]);
    for (const port of ports) {
      const result = results.get(port);
      if (result) row(`${text("port")} ${port}`, text(WORDS[result.kind]), TONES[result.kind], result.milliseconds);
    }
    conclude(kind, [...results.values()].map((result) => result.kind));
    element("again").disabled = false;
  }

  function conclude(kind, kinds) {
    if (!isSecureContext) advise("insecure", "error");
    else if (kinds.includes("agent")) advise("found", "success");
    else if (kinds.includes("enrolling")) advise("foundEnrolling", "success");
    else advise(kind, kind === "absent" ? "warning" : "error");
  }

  function advise(name, severity) {
    element("advice").className = `notice ${severity}`;
    element("advice-title").textContent = text(`${name}Title`) || text(name);
    element("advice-text").textContent = text(`${name}Text`);
  }

  function row(what, result, tone, milliseconds) {
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = what;
    line.append(head, cell(result, tone), cell(milliseconds === undefined ? "" : `${Math.round(milliseconds)} ms`, "number"));
    element("results").append(line);
  }

  function cell(content, kind) {
    const made = document.createElement("td");
    made.textContent = content;
    if (kind) made.className = kind;
    return made;
  }

  const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
  const WORDS = { agent: "agent", enrolling: "enrolling", other: "other", foreign: "foreign", slow: "slow", absent: "silent" };
  const TONES = { agent: "good", enrolling: "good", other: "bad", foreign: "bad", slow: "bad" };

  element("test").hidden = false;
  element("again").addEventListener("click", test);
  test();
})();
