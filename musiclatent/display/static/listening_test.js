// Blind questions about sounds: plays them, takes yes or no, keeps the answers in the browser.
// `mount(el, host)` needs nothing of the page around it; the page does not know what is right.

const STYLE = `
.ml-raters { --ink: #1d2127; --soft: #5c6470; --ground: #fcfcfb; --card: #fff; --line: #dcdfe3;
  --mark: #2a6fb5; --heard: #d8e7f6; color-scheme: light; min-height: 100%; box-sizing: border-box;
  padding: 1rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
@media (prefers-color-scheme: dark) { .ml-raters { --ink: #e9ebee; --soft: #a2aab5;
  --ground: #15181c; --card: #1e2227; --line: #454c56; --mark: #7db4ee; --heard: #24405c;
  color-scheme: dark; } }
.ml-raters > * { max-width: 40rem; margin: 0 auto; }
.ml-raters h1 { font-size: 1.1rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
.ml-raters h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 1rem; outline: none; }
.ml-raters p { margin: 0 0 .8rem; }
.ml-raters .soft { color: var(--soft); font-size: .9rem; min-height: 1.5em; }
.ml-raters .card .soft { margin: 0 0 .3rem; }
.ml-raters .answers { margin-bottom: .8rem; }
.ml-raters progress { width: 100%; height: .5rem; accent-color: var(--mark); }
.ml-raters .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.2rem; margin: 1rem auto; box-sizing: border-box; }
.ml-raters label { display: block; font-weight: 600; margin-bottom: .3rem; }
.ml-raters input { width: 100%; box-sizing: border-box; margin-bottom: .8rem; }
.ml-raters input, .ml-raters button { font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--line); border-radius: 8px; padding: .6rem .9rem; min-height: 2.75rem; }
.ml-raters button { cursor: pointer; }
.ml-raters button:disabled { color: var(--soft); cursor: not-allowed; }
.ml-raters :is(button, input):focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
.ml-raters .sounds { display: grid; gap: .5rem; margin-bottom: 1rem; }
.ml-raters .sounds button { text-align: left; background: linear-gradient(to right,
  var(--heard) calc(100% * var(--part, 0)), var(--ground) 0); }
.ml-raters .sounds .on { border-color: var(--mark); box-shadow: inset 0 0 0 1px var(--mark); }
.ml-raters .answers { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; }
.ml-raters .answers button { font-weight: 600; }
.ml-raters [aria-pressed=true] { border-color: var(--mark); background: var(--heard); }
.ml-raters .main { background: var(--mark); border-color: var(--mark); color: var(--card);
  font-weight: 600; }
.ml-raters .row { display: flex; flex-wrap: wrap; gap: .5rem; }
.ml-raters kbd { font: inherit; font-size: .85em; border: 1px solid var(--line); border-radius: 4px;
  padding: 0 .35em; margin-inline: .3em; font-weight: 400; }
.ml-raters [hidden] { display: none; }
`;
const KINDS = {
  fits: {
    ask: "Does this fit the cluster you heard?",
    names: ["Of the cluster", "Of the cluster", "Does this fit?"],
  },
  mixes: {
    ask: "Does the second mix well after the first?",
    names: ["First", "Second"],
  },
  whole: {
    ask: "Would you listen to a whole piece that sounds like this?",
    names: ["Listen"],
  },
  same: {
    ask: "Do both sound the same?",
    names: ["First", "Second"],
  },
  words: {
    ask: "Do you understand every word?",
    names: ["Listen"],
  },
};
const SECTIONS = "A program put short sections of music into clusters, groups of sections that it "
  + "holds to be alike. You hear two sections of one cluster, then a third: say whether it fits. "
  + "In other questions you hear two sections, one after the other: say whether they mix well.";
const CODINGS = "Programs wrote music and speech down in few numbers and made sound of them again. "
  + "You hear what came out, and some recordings as they were, in no order: say whether you would "
  + "listen to it, whether two sound the same, and whether you understand what is said.";
const ABOUT = { fits: SECTIONS, mixes: SECTIONS, whole: CODINGS, same: CODINGS, words: CODINGS };
const HURRY = "There is no need to hurry; answer as you hear it. Your answers stay in this browser "
  + "until you save them, so that you can close the page and go on later.";
const SERVED = location.protocol.startsWith("http");

/** Add an element with a class and plain text. */
function add(parent, tag, name = "", text = "") {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.textContent = text;
  parent.append(node);
  return node;
}

/** Add a button that names its key. */
function button(parent, text, key, act) {
  const node = add(parent, "button", "", text);
  node.type = "button";
  if (key) add(node, "kbd", "", key);
  node.addEventListener("click", act);
  return node;
}

/** Keep answers in the browser, by rater; where it keeps nothing, until the page is closed. */
function memory(name) {
  let state = { rater: "", answers: {} };
  try {
    state = JSON.parse(localStorage.getItem(name)) ?? state;
  } catch {
    // unreadable or forbidden: begin anew
  }
  const save = () => {
    try {
      localStorage.setItem(name, JSON.stringify(state));
      return true;
    } catch {
      return false;
    }
  };
  return { state, save };
}

/** Build the page: title, progress, the card that changes, what is said, the player. */
function furnish(el, title) {
  const root = add(el, "main", "ml-raters");
  add(root, "style", "", STYLE);
  const header = add(root, "header");
  add(header, "h1", "", title).dir = "auto";
  const progress = add(header, "progress");
  progress.setAttribute("aria-label", "Questions answered");
  const card = add(root, "section", "card");
  const said = add(root, "p", "soft");
  said.setAttribute("role", "status");
  const footer = add(root, "footer", "row");
  const audio = add(root, "audio");
  return { progress, card, said, footer, audio };
}

/**
 * Put the questions into an element.
 *
 * @param el    element to fill
 * @param host  table: title, page (its name, for the answers) and questions (id, kind, sounds:
 *              numbers of the sounds in order); sound(i): Blob of sound i
 * @returns     content(): what the saved file holds
 */
export function mount(el, { table, sound }) {
  const ui = furnish(el, table.title);
  const { state, save } = memory(`musiclatent ${table.page}`);
  const heard = new Set();
  let at = -1; // question on show; -1: the beginning, as many as there are: the end
  let playing = -1; // which of its sounds
  let sounds = [];
  let choices = [];

  const answers = () => (Object.hasOwn(state.answers, state.rater) ? state.answers[state.rater] : {});
  const open = () => table.questions.findIndex(({ id }) => !(id in answers()));
  const ready = ({ id }) => heard.has(id) || id in answers();

  const content = () => ({
    page: table.page, rater: state.rater, saved: new Date().toISOString(), answers: answers(),
  });

  const download = () => {
    const text = JSON.stringify(content(), null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `answers-${state.rater.replace(/[^\p{L}\p{N}]+/gu, "_")}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    ui.said.textContent = `Saved as ${link.download}: send it to whoever asked you.`;
  };

  /** Send the answers to the server that the page came from; save them where it takes none. */
  const send = async () => {
    const sent = { method: "POST", headers: { "Content-Type": "application/json" } };
    try {
      const reply = await fetch("answers", { ...sent, body: JSON.stringify(content()) });
      ui.said.textContent = await reply.text();
      if (!reply.ok) throw new Error(ui.said.textContent);
    } catch (error) {
      download();
      ui.said.textContent = `The server did not take them (${error.message}). ${ui.said.textContent}`;
    }
  };
  const keep = SERVED ? send : download;

  const stop = () => {
    ui.audio.pause();
    ui.audio.removeAttribute("src");
    playing = -1;
  };

  /** Show which sound plays and how far it is. */
  const mark = () => sounds.forEach((node, i) => {
    const { currentTime, duration } = ui.audio;
    node.classList.toggle("on", i === playing && !ui.audio.paused);
    node.style.setProperty("--part", i === playing && duration ? currentTime / duration : 0);
  });

  /** Start a sound; a start that the next one replaced is no error. */
  const start = () => ui.audio.play().catch((error) => {
    if (error.name === "AbortError") return;
    ui.said.textContent = `This sound does not play: ${error.message}`;
  });

  const play = (i) => {
    const old = ui.audio.src;
    playing = i;
    ui.audio.src = URL.createObjectURL(sound(table.questions[at].sounds[i]));
    if (old) URL.revokeObjectURL(old);
    start();
  };

  const toggle = (i) => {
    if (i >= 0 && i !== playing) play(i);
    else if (playing < 0 || ui.audio.ended) play(Math.max(i, 0));
    else if (ui.audio.paused) start();
    else ui.audio.pause();
  };

  const answer = (yes) => {
    const question = table.questions[at];
    if (!ready(question)) {
      ui.said.textContent = "Listen to the last sound first.";
      return;
    }
    state.answers[state.rater] = { ...answers(), [question.id]: yes };
    const kept = save();
    show(at + 1);
    if (!kept) ui.said.textContent = "This browser keeps no answers: save them before you close it.";
  };

  const welcome = () => {
    add(ui.card, "h2", "", "Judging by ear");
    const about = new Set(table.questions.map(({ kind }) => ABOUT[kind]));
    for (const text of [...about, HURRY]) add(ui.card, "p", "", text);
    const form = add(ui.card, "form");
    const label = add(form, "label", "", "Your name");
    const input = add(form, "input");
    Object.assign(input, { id: "rater", required: true, maxLength: 60, autocomplete: "name" });
    input.pattern = ".*\\S.*";
    input.dir = "auto";
    label.htmlFor = input.id;
    add(form, "button", "main", `Begin: ${table.questions.length} questions`);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      state.rater = input.value.trim().replace(/\s+/g, " ");
      save();
      show(open());
    });
    input.focus();
  };

  const ask = ({ kind, id, sounds: which }) => {
    add(ui.card, "p", "soft", `Question ${at + 1} of ${table.questions.length}`);
    const heading = add(ui.card, "h2", "", KINDS[kind].ask);
    heading.tabIndex = -1;
    const list = add(ui.card, "div", "sounds");
    sounds = which.map((_, i) => button(list, KINDS[kind].names[i], i + 1, () => toggle(i)));
    for (const node of sounds) node.prepend(node.lastChild); // the key before the name
    const row = add(ui.card, "div", "answers");
    choices = [button(row, "Yes", "y", () => answer(true)), button(row, "No", "n", () => answer(false))];
    choices.forEach((node, i) => {
      node.disabled = !ready({ id });
      node.setAttribute("aria-pressed", answers()[id] === (i === 0));
    });
    const keys = add(ui.card, "p", "soft");
    add(keys, "kbd", "", "space");
    keys.append("plays and pauses");
    if (at) button(add(ui.card, "div", "row"), "Back", "\u2190", () => show(at - 1));
    heading.focus();
  };

  const thank = () => {
    const heading = add(ui.card, "h2", "", "All questions are answered. Thank you.");
    heading.tabIndex = -1;
    const then = SERVED ? "Send your answers." : "Save your answers and send the file to whoever asked you.";
    add(ui.card, "p", "", then);
    const row = add(ui.card, "div", "row");
    button(row, SERVED ? "Send answers" : "Save answers", "", keep).className = "main";
    button(row, "Back", "\u2190", () => show(at - 1));
    heading.focus();
  };

  /** Show a question, the beginning or the end. */
  const show = (i) => {
    stop();
    const n = table.questions.length;
    at = !state.rater ? -1 : i < 0 ? n : i;
    [sounds, choices] = [[], []];
    ui.card.replaceChildren();
    ui.said.textContent = "";
    if (at < 0) welcome();
    else if (at < n) ask(table.questions[at]);
    else thank();
    ui.progress.max = n;
    ui.progress.value = Object.keys(answers()).length;
    early.hidden = at === n || !ui.progress.value;
    ui.footer.hidden = at < 0;
  };

  const early = button(ui.footer, `${SERVED ? "Send" : "Save"} what is answered so far`, "", keep);
  button(ui.footer, "Another rater", "", () => {
    state.rater = "";
    save();
    show(-1);
  });
  for (const name of ["timeupdate", "play", "pause", "emptied"]) ui.audio.addEventListener(name, mark);
  ui.audio.addEventListener("playing", () => {
    const { id, sounds: which } = table.questions[at];
    if (playing < which.length - 1) return;
    heard.add(id);
    for (const node of choices) node.disabled = false;
  });
  ui.audio.addEventListener("ended", () => {
    if (playing < sounds.length - 1) play(playing + 1);
  });
  document.addEventListener("keydown", (event) => {
    const busy = event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input");
    if (busy || at < 0) return;
    const asking = at < table.questions.length;
    const key = event.key.toLowerCase();
    const number = Number(key) - 1;
    if (key === " " && event.target.closest("button")) return; // it presses the button
    if (asking && key === " ") toggle(-1);
    else if (asking && (key === "y" || key === "n") && !event.repeat) answer(key === "y");
    else if (asking && number in sounds) toggle(number);
    else if (key === "arrowleft" && at) show(at - 1);
    else return;
    event.preventDefault();
  });
  show(open());
  return { content };
}
