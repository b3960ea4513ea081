// Progressive enhancement: every page also works without this script.
"use strict";

const REFRESH_MS = 1000;
// A page that takes long to answer is refreshed less often.
const TIMES_AS_LONG = 10;

// Adds a checkbox that selects all checkboxes of a table.
function addSelectAll(root) {
  for (const form of root.querySelectorAll("[data-select]")) {
    const head = form.querySelector("thead th");
    const boxes = () => [...form.querySelectorAll("tbody input[type=checkbox]")];
    if (!head || boxes().length === 0 || head.querySelector("input")) continue;
    const label = document.createElement("label");
    const all = document.createElement("input");
    const name = document.createElement("span");
    all.type = "checkbox";
    name.className = "visually-hidden";
    name.textContent = "Select all on this page";
    label.append(all, name);
    head.replaceChildren(label);
    all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
  }
}

// Adds a button that copies the text of each element marked data-copy.
function addCopyButtons() {
  for (const element of document.querySelectorAll("[data-copy]")) {
    if (element.nextElementSibling?.matches("button.copy")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet copy";
    button.textContent = "Copy";
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(element.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(element);
        button.textContent = "Selected: copy it with the keyboard";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 4000);
    });
    element.after(" ", button);
  }
}

// Fetches the parts marked data-live again, unless the user is working in them or has stopped it.
function startRefresh() {
  if (!document.querySelector("[data-live]")) return;
  let running = true;
  const controls = document.getElementById("live-switch");
  if (controls) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    const show = () => { button.textContent = running ? "Stop refreshing" : "Resume refreshing"; };
    button.addEventListener("click", () => { running = !running; show(); });
    show();
    controls.append(button);
  }
  const refresh = async () => {
    const began = performance.now();
    if (running && !document.hidden) await fetchParts();
    setTimeout(refresh, Math.max(REFRESH_MS, TIMES_AS_LONG * (performance.now() - began)));
  };
  const fetchParts = async () => {
    try {
      const response = await fetch(location.href, { headers: { "Rollbook-Live": "1" }, redirect: "error" });
      if (!response.ok) return;
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const next = fresh.getElementById(old.id);
        const busy = old.contains(document.activeElement) || old.querySelector("input:checked, details[open]");
        if (next && !busy && next.innerHTML !== old.dataset.seen) {
          next.dataset.seen = next.innerHTML;
          old.replaceWith(next);
          addSelectAll(document);
          addCopyButtons();
        }
      }
    } catch { /* the next refresh tries again */ }
  };
  setTimeout(refresh, REFRESH_MS);
}

// Prevents a form from being sent twice.
function preventDoubleSubmit() {
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (event.target.dataset.sent) event.preventDefault();
    else if (event.target.method === "post") event.target.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
}

// Lets Enter in a card marked data-enter press the button of the card, not the first one of the form.
function submitOwnCard() {
  document.addEventListener("submit", (event) => {
    const card = document.activeElement?.closest("[data-enter]");
    if (!card || card.contains(event.submitter)) return;
    event.preventDefault();
    setTimeout(() => event.target.requestSubmit(card.querySelector("button.main")));
  });
}

// Asks before a form with data-ask is sent.
function confirmSubmit() {
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.ask;
    if (question && !window.confirm(question)) event.preventDefault();
  }, true);
}

confirmSubmit();
submitOwnCard();
preventDoubleSubmit();
addSelectAll(document);
addCopyButtons();
startRefresh();
