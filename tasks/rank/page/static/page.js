// The ranking page: keys, drag, and a submission that is sent until the server has kept it.
"use strict";
const form = document.getElementById("form");
const said = document.getElementById("said");
const cards = [...form.querySelectorAll(".card")];
const lanes = [...form.querySelectorAll(".lane")];
const K = cards.length;
const shortcuts = document.getElementById("shortcuts");
const OFF = "plumbline_shortcuts_off";
let current = 0;
let sending = false;

const radios = (place) => [...form.elements[`rank_${place}`]];
const rankOf = (place) => Number(radios(place).find((radio) => radio.checked)?.value || 0);
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

function say(text, wrong = false) {
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
}

function draw() {
  lanes.forEach((lane) => lane.querySelectorAll(".chip").forEach((chip) => chip.remove()));
  cards.forEach((card, place) => {
    const chip = document.createElement("span");
    chip.className = "chip";
    chip.dataset.place = place;
    chip.textContent = card.dataset.letter;
    lanes.find((lane) => Number(lane.dataset.rank) === rankOf(place)).append(chip);
  });
}

function setRank(place, rank) {
  radios(place).forEach((radio) => { radio.checked = Number(radio.value) === rank; });
  announce(place);
}

function announce(place) {
  draw();
  const rank = rankOf(place);
  say(fill(rank ? form.dataset.rank : form.dataset.none, { letter: cards[place].dataset.letter, rank }));
}

function mark(place, focus = true) {
  current = (place + K) % K;
  cards.forEach((card, index) => {
    card.classList.toggle("current", index === current);
    card.ariaCurrent = index === current ? "true" : null;
  });
  if (focus) cards[current].focus();
}

function nextUnranked() {
  for (let step = 1; step <= K; step++) {
    if (!rankOf((current + step) % K)) return (current + step) % K;
  }
  return current;
}

form.addEventListener("change", (event) => {
  const card = event.target.closest(".card");
  if (card && event.target.type === "radio") announce(Number(card.dataset.place));
});
form.addEventListener("focusin", (event) => {
  const card = event.target.closest(".card");
  if (card) mark(Number(card.dataset.place), false);
});

// Keys, except where somebody types or where the browser has a use of its own for them
document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || sending) return;
  if (target.closest("textarea, select")) {
    if (event.key === "Escape") mark(current);
    return;
  }
  if (event.key.length === 1 && !shortcuts.checked) return;
  const digit = /^[0-9]$/.test(event.key) ? Number(event.key) || 10 : 0;
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const button = { b: "bad", s: "skip" }[event.key.toLowerCase()];
  if (digit && digit <= K) {
    setRank(current, digit);
    mark(nextUnranked());
  } else if (step && target.type !== "radio") {
    mark(current + step);
  } else if (event.key === "Delete" || event.key === "Backspace") {
    setRank(current, 0);
  } else if (button && !event.repeat) {
    form.querySelector(`button[value=${button}]`).click();
  } else if (event.key.toLowerCase() === "c") {
    document.getElementById("comment").focus();
  } else if (event.key === "Enter" && !target.closest("a, button, summary")) {
    if (!event.repeat) form.querySelector("button[value=ranked]").click();
  } else {
    return;
  }
  event.preventDefault();
});

// Drag by pointer: mouse, pen and finger alike
let drag = null;
const laneAt = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest(".lane");

document.addEventListener("pointerdown", (event) => {
  const grip = event.target.closest?.(".grip, .chip");
  if (!grip || event.button) return;
  event.preventDefault();
  const place = Number(grip.dataset.place);
  const ghost = document.createElement("span");
  ghost.className = "chip ghost";
  ghost.textContent = cards[place].dataset.letter;
  drag = { place, ghost, pointer: event.pointerId };
  mark(place, false);
});
document.addEventListener("pointermove", (event) => {
  if (!drag || event.pointerId !== drag.pointer) return;
  if (!drag.ghost.isConnected) document.body.append(drag.ghost);
  drag.ghost.style.left = `${event.clientX}px`;
  drag.ghost.style.top = `${event.clientY}px`;
  const over = laneAt(event);
  lanes.forEach((lane) => lane.classList.toggle("over", lane === over));
});
function drop(event) {
  if (!drag || event.pointerId !== drag.pointer) return;
  const lane = event.type === "pointerup" ? laneAt(event) : null;
  const { place, ghost } = drag;
  drag = null;
  ghost.remove();
  lanes.forEach((each) => each.classList.remove("over"));
  if (lane) setRank(place, Number(lane.dataset.rank));
}
document.addEventListener("pointerup", drop);
document.addEventListener("pointercancel", drop);

// One key a page: sent again after a lost answer, the server knows it and keeps one
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  const verdict = event.submitter?.value || "ranked";
  const missing = cards.filter((_, place) => !rankOf(place));
  if (verdict === "ranked" && missing.length) {
    mark(Number(missing[0].dataset.place));
    say(fill(form.dataset.missing, { missing: missing.map((card) => card.dataset.letter).join(", ") }), true);
    return;
  }
  const body = new URLSearchParams(new FormData(form));
  body.set("verdict", verdict);
  const buttons = form.querySelectorAll("button");
  sending = true;
  buttons.forEach((button) => { button.disabled = true; });
  say(form.dataset.saving);
  for (;;) {
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      if (answer.status < 500) {
        const content = await answer.json();
        if (answer.ok) {
          location.assign(content.next);
          return;
        }
        say(content.error, true);
        break;
      }
    } catch {
      // no answer: told below
    }
    say(form.dataset.unsaved, true);
    await new Promise((wake) => { setTimeout(wake, 2000); });
  }
  sending = false;
  buttons.forEach((button) => { button.disabled = false; });
});

// Speech input and wandering hands press letters that are not meant: who wants none keeps it in this browser
shortcuts.checked = !localStorage.getItem(OFF);
shortcuts.addEventListener("change", () => {
  if (shortcuts.checked) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "1");
});

draw();
mark(0, false);
