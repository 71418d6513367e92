// Shows whether an event stream and a WebSocket through the gateway are open, and renews the device's proof.
"use strict";

const element = (id) => document.getElementById(id);

function show(id, state, text) {
  element(id).dataset.state = state;
  element(id).textContent = text;
}

// A browser reconnects an event stream by itself; here its end is what is to be seen.
const events = new EventSource("/events");
events.onopen = () => show("events-state", "open", "open");
events.onmessage = (event) => { element("events-count").textContent = event.data; };
events.onerror = () => {
  events.close();
  show("events-state", "closed", "closed");
};

const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
socket.onopen = () => show("socket-state", "open", "open");
socket.onmessage = (event) => { element("socket-echo").textContent = event.data; };
socket.onclose = (event) => show("socket-state", "closed", `closed (${event.code} ${event.reason})`.replace(" )", ")"));
element("socket-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState === WebSocket.OPEN) socket.send(element("socket-text").value);
});

// Behind the gateway there is a script that renews; without one, this page has nothing to renew.
element("proof-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { latchkey } = window;
  if (!latchkey) return show("proof-state", "closed", "no gateway in front offers to renew");
  show("proof-state", "", "one moment");
  try {
    if (event.submitter?.name === "ask") {
      const response = await latchkey.fetch(location.href, { headers: { accept: "application/json" } });
      show("proof-state", response.ok ? "open" : "closed", `asked again: ${response.status}`);
    } else {
      await latchkey.renew();
      show("proof-state", "open", `renewed at ${new Date().toLocaleTimeString()}`);
    }
  } catch (error) {
    show("proof-state", "closed", `not renewed: ${error.message} (${error.code ?? error.name})`);
  }
});
