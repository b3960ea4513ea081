// What the pages do better with a script; without it they do all the same.
"use strict";

const REFRESH_MS = 4000;
// While work is under way, so that its outcome and the undo stand there in the moment that it is done.
const BUSY_MS = 1000;

// One box above a column of boxes ticks them all.
function offerSelectAll(root) {
  for (const form of root.querySelectorAll("[data-select]")) {
    const head = form.querySelector("thead th");
    const boxes = () => [...form.querySelectorAll("tbody input[type=checkbox]")];
    if (!head || boxes().length === 0 || head.querySelector("input")) continue;
    const label = document.createElement("label");
    const all = document.createElement("input");
    const name = document.createElement("span");
    all.type = "checkbox";
    name.className = "unseen";
    name.textContent = "Choose all on this page";
    label.append(all, name);
    head.replaceChildren(label);
    all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
  }
}

// The parts marked data-live are fetched anew, unless somebody is working in them or has stopped it.
function startLive() {
  if (!document.querySelector("[data-live]")) return;
  let running = true;
  const place = document.getElementById("live-switch");
  if (place) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    const show = () => { button.textContent = running ? "Stop refreshing" : "Refresh by itself"; };
    button.addEventListener("click", () => { running = !running; show(); });
    show();
    place.append(button);
  }
  const again = () => setTimeout(refresh, document.querySelector("[data-busy]") ? BUSY_MS : REFRESH_MS);
  const refresh = async () => {
    if (running && !document.hidden) await fetchParts();
    again();
  };
  const fetchParts = async () => {
    try {
      const answer = await fetch(location.href, { headers: { "Rollbook-Live": "1" }, redirect: "error" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const next = fresh.getElementById(old.id);
        const busy = old.contains(document.activeElement) || old.querySelector("input:checked, details[open]");
        if (next && !busy && next.innerHTML !== old.dataset.seen) {
          old.dataset.seen = next.innerHTML;
          const seen = old.dataset.seen;
          old.replaceWith(next);
          next.dataset.seen = seen;
          offerSelectAll(document);
        }
      }
    } catch { /* the next round tries again */ }
  };
  again();
}

// A form that is on its way is not sent twice.
function sendOnce() {
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (event.target.dataset.sent) event.preventDefault();
    else if (event.target.method === "post") event.target.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
}

// What cannot be taken back is asked once more.
function askFirst() {
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.ask;
    if (question && !window.confirm(question)) event.preventDefault();
  }, true);
}

askFirst();
sendOnce();
offerSelectAll(document);
startLive();
