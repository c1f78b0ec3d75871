// A map that plays: a scatter on a canvas in which a click plays exactly that segment, and a table
// whose rows play. `mount` and `mountRows` need nothing of the page around them, so that any host
// can call them; `render` is the host for notebooks (anywidget).

const STYLE = `
.ml { --ink: #1d2127; --soft: #59616d; --ground: #fcfcfb; --card: #fff; --line: #d5d9de;
  --edge: #0006; --strong: #1f5fa8; --pick: #e3edf8; color-scheme: light; box-sizing: border-box;
  background: var(--ground); color: var(--ink); text-align: left;
  font: 15px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.ml.dark { --ink: #e9ebee; --soft: #a2aab5; --ground: #15181c; --card: #1e2227; --line: #3a414a;
  --edge: #0009; --strong: #7db4f0; --pick: #24374c; color-scheme: dark; }
.ml *, .ml *::before { box-sizing: border-box; }
.ml [hidden] { display: none !important; }
.ml h1, .ml h2 { font: inherit; font-weight: 600; margin: 0; padding: 0; color: inherit;
  letter-spacing: normal; }
.ml h1 { font-size: 17px; overflow-wrap: anywhere; }
.ml h2 small { font-weight: 400; }
.ml small, .ml .about, .ml .note, .ml .when { color: var(--soft); font-size: 13px; }
.ml button, .ml input, .ml select { font: inherit; font-size: 13px; line-height: 1.3; height: auto;
  min-height: 32px; width: auto; margin: 0; padding: 4px 10px; color: var(--ink);
  background: var(--card); border: 1px solid var(--line); border-radius: 6px; box-shadow: none;
  text-transform: none; letter-spacing: normal; }
.ml select { padding: 4px 6px; max-width: 100%; }
.ml button { cursor: pointer; }
.ml button:disabled { opacity: .5; cursor: default; }
.ml button:not(:disabled):hover, .ml tr[data-row]:hover { border-color: var(--strong); }
.ml [aria-pressed=true], .ml button[aria-current=true], .ml tr[aria-current=true] {
  background: var(--pick); border-color: var(--strong); }
.ml :focus-visible { outline: 2px solid var(--strong); outline-offset: -2px; }
.ml ul, .ml ol { list-style: none; margin: 0; padding: 0; }
.ml .title { font-weight: 600; }
.ml .note:empty { display: none; }
.ml .note { overflow-wrap: anywhere; }
.ml .player { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: end; padding: 10px 14px;
  background: var(--card); }
.ml .heard { flex: 1 1 240px; min-width: 0; }
.ml .said > * { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.ml .heard .picture { position: relative; height: 76px; margin-top: 6px; overflow: hidden;
  border-radius: 4px; background: #000004; cursor: crosshair; touch-action: none; }
.ml .picture canvas { display: block; width: 100%; height: 100%; }
.ml .picture span { position: absolute; left: 4px; transform: translateY(50%); font-size: 11px;
  line-height: 1; color: #fff; text-shadow: 0 0 3px #000, 0 0 3px #000; pointer-events: none; }
.ml .cursor { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 0 1px #0009; pointer-events: none; }
.ml audio { flex: 1 1 240px; width: 100%; min-width: 0; max-width: 480px; height: 40px; }

.ml-map { display: flex; flex-direction: column; min-height: var(--ml-height, 100dvh); }
.ml-map .side { display: contents; }
.ml-map header { padding: 10px 14px 8px; }
.ml-map .tools { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; margin-top: 8px; }
.ml-map .tools .one { display: flex; }
.ml-map .one button { border-radius: 0; margin-left: -1px; }
.ml-map .one button:first-child { border-radius: 6px 0 0 6px; margin: 0; }
.ml-map .one button:last-child { border-radius: 0 6px 6px 0; }
.ml-map .one [aria-pressed=true] { position: relative; }
.ml-map label { display: flex; align-items: center; gap: 6px; font-weight: 400; font-size: 13px;
  margin: 0; min-width: 0; color: var(--soft); }
.ml-map .legend { display: flex; flex-wrap: wrap; gap: 2px 14px; margin-top: 8px; font-size: 13px;
  max-height: 78px; overflow-y: auto; }
.ml-map .legend li { display: flex; align-items: center; gap: 5px; min-width: 0;
  overflow-wrap: anywhere; margin: 0; }
.ml-map .scale { width: 140px; height: 10px; border-radius: 3px; }
.ml-map .plot { position: relative; overflow: hidden; border: solid var(--line);
  border-width: 1px 0; height: calc(var(--ml-height, 100dvh) - 380px); min-height: 260px; }
.ml-map .plot canvas { position: absolute; left: 0; top: 0; width: 100%; height: 100%; }
.ml-map .points { touch-action: none; cursor: grab; }
.ml-map .points:not([data-tool=Move]) { cursor: crosshair; }
.ml-map .points.over { cursor: pointer; }
.ml-map .marks { pointer-events: none; }
.ml-map .tip { position: absolute; max-width: min(20em, 75%); padding: 5px 9px;
  pointer-events: none; background: var(--card); border: 1px solid var(--line); font-size: 13px;
  border-radius: 6px; box-shadow: 0 2px 8px #0003; overflow-wrap: anywhere; }
.ml-map .player { position: sticky; top: 0; bottom: 0; z-index: 1; border-bottom: 1px solid var(--line);
  box-shadow: 0 -1px 0 var(--line); }
.ml-map .panel { padding: 0 14px 14px; background: var(--card); flex: 1 0 auto; }
.ml-map .panel section { padding-top: 12px; }
.ml-map .panel input { flex: 1 1 120px; min-width: 0; }
.ml-map .panel .line { display: flex; flex-wrap: wrap; align-items: center; gap: 6px;
  margin-bottom: 6px; }
.ml-map .line h2 { flex: 1; }
.ml-map .find { width: 100%; }
.ml-map .rows { max-height: 258px; overflow-y: auto; }
.ml-map .rows li { margin: 0; }
.ml-map .rows button { display: flex; gap: 10px; width: 100%; align-items: center; padding: 4px 8px;
  background: none; border-color: transparent; text-align: left; }
.ml-map .rows button[aria-current=true] { background: var(--pick); }
.ml-map .rows .name { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.ml-map.wide { flex-direction: row; height: var(--ml-height, 100dvh); min-height: 0; }
.ml-map.wide .stage { display: flex; flex-direction: column; flex: 1; min-width: 0; }
.ml-map.wide .plot { flex: 1; height: auto; min-height: 120px; border-bottom: 0; }
.ml-map.wide .side { display: flex; flex-direction: column; flex: 0 0 340px; overflow-y: auto;
  border-left: 1px solid var(--line); background: var(--card); }
.ml-map.wide .player { bottom: auto; box-shadow: none; }

.ml-pair { display: flex; flex-wrap: wrap; }
.ml-pair > div { flex: 1 1 420px; min-width: 0; }

.ml-rows { display: flex; flex-direction: column; max-height: var(--ml-height, 100dvh); }
.ml-rows h1 { padding: 10px 14px 0; background: var(--card); }
.ml-rows .sheet { overflow: auto; border-top: 1px solid var(--line); flex: 0 1 auto; }
.ml-rows table { width: 100%; margin: 0; border-collapse: separate; border-spacing: 0; border: 0;
  font-size: 13px; color: inherit; table-layout: auto; }
.ml-rows th, .ml-rows td { padding: 6px 10px; text-align: left; vertical-align: top; border: 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; max-width: 30em; height: 32px;
  white-space: normal; }
.ml-rows th { position: sticky; top: 0; background: var(--card); font-weight: 600; }
.ml-rows tr, .ml-rows tbody tr:nth-child(odd) { background: none; }
.ml-rows tbody tr { cursor: pointer; }
.ml-rows tbody tr:hover, .ml-rows tbody tr[aria-current=true] { background: var(--pick); }
.ml-rows tr > :first-child { padding-left: 26px; position: relative; }
.ml-rows th:first-child { position: sticky; }
.ml-rows tr[aria-current=true] > :first-child::before { content: "\\25b6"; position: absolute;
  left: 10px; font-size: 10px; line-height: 2; color: var(--strong); }
.ml-rows .when { white-space: nowrap; }
.ml-rows.narrow thead { display: none; }
.ml-rows.narrow table, .ml-rows.narrow tbody { display: block; }
.ml-rows.narrow tbody tr { display: flex; flex-wrap: wrap; gap: 0 12px; padding: 6px 10px 6px 26px;
  border-bottom: 1px solid var(--line); position: relative; }
.ml-rows.narrow td { border: 0; padding: 0; height: auto; position: static; }
.ml-rows.narrow tr > td:first-child { width: 100%; font-weight: 600; padding: 0; }
.ml-rows.narrow td[data-name]::before { content: attr(data-name) " "; color: var(--soft); }
`;
const OUTLINES = [[32, 0], [4, 0.125], [3, 0.25], [4, 0]]; // sides, turn: circle, square, ...
const NO_VALUE = "#9aa0a8";
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const TOOLS = { m: "Move", l: "Lasso", b: "Box" };
const LEVELS = 48; // colours of a scale of numbers
const MAGMA = ["#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf"];
const FFT = 1024;
const RATE = 22050; // the browser resamples to this before the spectrogram
const BANDS = 96; // rows of the spectrogram, LOW Hz to RATE / 2, equal steps of pitch
const LOW = 40;
const DROP_MB = 100; // of one file, as in live.py
const RANGE = 70; // dB below the loudest that are shown

/** Add an element with a class and plain text. */
function add(parent, tag, name = "", text = "") {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (tag === "button") node.type = "button";
  node.textContent = text;
  parent.append(node);
  return node;
}

/** Write seconds as minutes and seconds, with tenths where there are any. */
function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = (tenths % 600) / 10;
  const text = Number.isInteger(rest) ? `${rest}` : rest.toFixed(1);
  return `${Math.floor(tenths / 600)}:${rest < 10 ? "0" : ""}${text}`;
}

/** Write from when to when a row sounds. */
const span = (table, i) => `${clock(table.start_s[i])}\u2013${clock(table.end_s[i])}`;

/** Write a number with three digits that count. */
const short = (value) => `${Number(value.toPrecision(3))}`;

/** Write how many there are. */
const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

/** Drop case and accents, so that dvorak finds Dvo\u0159\u00e1k. */
const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** Spread a few colours over n levels, as [red, green, blue]. */
function ramp(colors, n) {
  const rgb = colors.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({ length: n }, (_, level) => {
    const at = (level / (n - 1)) * (rgb.length - 1);
    const low = Math.min(Math.floor(at), rgb.length - 2);
    return rgb[low].map((value, c) => Math.round(value + (at - low) * (rgb[low + 1][c] - value)));
  });
}

/** Add the root with its style, dark or light like the page, or like JupyterLab where that is. */
function frame(el, name, signal, changed) {
  const root = add(el, "div", `ml ${name}`);
  add(root, "style", "", STYLE);
  const query = matchMedia("(prefers-color-scheme: dark)");
  const dress = () => {
    const light = document.body.dataset.jpThemeLight;
    root.classList.toggle("dark", light ? light === "false" : query.matches);
  };
  const redress = () => {
    dress();
    changed();
  };
  dress();
  query.addEventListener("change", redress, { signal });
  const observer = new MutationObserver(redress);
  observer.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  signal.addEventListener("abort", () => observer.disconnect());
  return root;
}

// Sound and its picture

/** Transform in place; `re` and `im` hold FFT numbers each. */
function fft(re, im) {
  for (let i = 1, j = 0; i < FFT; i++) {
    let bit = FFT >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j]] = [re[j], re[i]]; // im is zero here
  }
  for (let size = 2; size <= FFT; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const [c, s] = [Math.cos((2 * Math.PI * k) / size), -Math.sin((2 * Math.PI * k) / size)];
      for (let a = k; a < FFT; a += size) {
        const b = a + size / 2;
        const [x, y] = [re[b] * c - im[b] * s, re[b] * s + im[b] * c];
        [re[b], im[b]] = [re[a] - x, im[a] - y];
        re[a] += x;
        im[a] += y;
      }
    }
  }
}

/** Compute a spectrogram in dB, BANDS rows with the highest first. */
function spectrogram(y) {
  const columns = Math.max(1, Math.min(400, Math.ceil(y.length / 128)));
  const level = new Float32Array(columns * BANDS);
  const [re, im, power] = [0, 0, 0].map(() => new Float64Array(FFT));
  for (let column = 0; column < columns; column++) {
    const from = Math.round(((column + 0.5) / columns) * y.length - FFT / 2);
    for (let n = 0; n < FFT; n++) {
      re[n] = (y[from + n] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FFT));
    }
    im.fill(0);
    fft(re, im);
    for (let n = 0; n <= FFT / 2; n++) power[n] = 10 * Math.log10(re[n] ** 2 + im[n] ** 2 + 1e-9);
    for (let row = 0; row < BANDS; row++) {
      const bin = (LOW * (RATE / 2 / LOW) ** (1 - (row + 0.5) / BANDS) * FFT) / RATE;
      const low = Math.floor(bin);
      level[row * columns + column] = power[low] + (bin - low) * (power[low + 1] - power[low]);
    }
  }
  return { columns, level };
}

/** Paint a spectrogram on a canvas. */
function develop(canvas, { columns, level }) {
  const colors = ramp(MAGMA, 256);
  const peak = Math.max(-60, level.reduce((a, b) => Math.max(a, b))); // silence stays dark
  const image = new ImageData(columns, BANDS);
  for (let i = 0; i < level.length; i++) {
    const at = Math.max(0, Math.round(255 * (1 + (level[i] - peak) / RANGE)));
    image.data.set([...colors[at], 255], 4 * i);
  }
  [canvas.width, canvas.height] = [columns, BANDS];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Read the samples of a compressed sound. */
async function decode(sound) {
  const blob = typeof sound === "string" ? await (await fetch(sound)).blob() : sound;
  const context = new OfflineAudioContext(1, 1, RATE);
  return (await context.decodeAudioData(await blob.arrayBuffer())).getChannelData(0);
}

/** Load a ready picture onto a canvas. */
async function fetchPicture(canvas, url, current) {
  const image = new Image();
  image.src = url;
  await image.decode();
  if (!current()) return;
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
}

/** Build title, spectrogram with cursor, and the audio element. */
function playerParts(parent, hint) {
  const root = add(parent, "section", "player");
  root.setAttribute("aria-label", "Player");
  const heard = add(root, "div", "heard");
  const said = add(heard, "div", "said");
  said.setAttribute("aria-live", "polite");
  const title = add(said, "div", "title", hint[0]);
  title.dir = "auto";
  const about = add(said, "div", "about", hint[1]);
  const note = add(heard, "div", "note");
  note.setAttribute("role", "status");
  const picture = add(heard, "div", "picture");
  const canvas = add(picture, "canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Spectrogram of this segment");
  for (const [hz, text] of [[100, "100 Hz"], [1000, "1 kHz"], [5000, "5 kHz"]]) {
    const share = Math.log(hz / LOW) / Math.log(RATE / 2 / LOW);
    add(picture, "span", "", text).style.bottom = `${100 * share}%`;
  }
  const cursor = add(picture, "div", "cursor");
  const audio = add(root, "audio");
  audio.controls = true;
  return { root, title, about, note, picture, canvas, cursor, audio };
}

/**
 * Put a player into an element: one segment at a time, with its spectrogram.
 *
 * @param parent   element to append to
 * @param host     sound(i), and picture(i) where a spectrogram is ready
 * @param caption  gives title and description of segment i
 * @param hint     two lines to show before the first segment
 */
function player(parent, host, caption, hint) {
  const ui = playerParts(parent, hint);
  const { audio, canvas } = ui;
  const it = { audio, index: -1 };
  let sound = null; // what plays: Blob or URL
  let url = "";
  let newest = 0; // of the sounds asked for
  let drawn = 0;
  let wanted = false; // to be started when it comes

  it.say = (text) => { ui.note.textContent = text; };
  it.describe = () => {
    if (it.index < 0) return;
    [ui.title.textContent, ui.about.textContent] = caption(it.index);
    ui.title.title = ui.title.textContent;
  };

  /** Start the sound; a start that the next click replaced is no error. */
  it.start = () => {
    wanted = true;
    if (sound === null) return;
    audio.play().catch((error) => {
      if (error.name !== "AbortError") it.say(`This sound does not play: ${error.message}`);
    });
  };
  it.toggle = () => (audio.paused ? it.start() : audio.pause());
  it.empty = () => sound === null; // asked for, refused, or never asked for

  const take = (answer) => {
    const old = url;
    sound = answer;
    url = typeof sound === "string" ? "" : URL.createObjectURL(sound);
    audio.src = url || sound;
    audio.dataset.index = it.index;
    URL.revokeObjectURL(old);
    if (wanted) it.start();
    setTimeout(() => wanted || draw(), 150);
  };

  const wait = (promise, turn) => {
    sound = null;
    audio.removeAttribute("src"); // the old sound ends with its title
    audio.load();
    it.say("Waiting for this sound");
    promise.then((answer) => {
      if (turn !== newest) return; // a later click won
      it.say("");
      take(answer);
    }).catch((error) => turn === newest && it.say(error.message));
  };

  /** Show segment i and hold its sound ready. */
  it.load = (i) => {
    const turn = ++newest;
    it.index = i;
    wanted = false;
    it.describe();
    it.say("");
    ui.cursor.style.left = "0";
    canvas.width = canvas.width; // empty until its own picture is there
    const answer = host.sound(i);
    if (typeof answer.then === "function") wait(answer, turn);
    else take(answer);
  };

  const draw = async () => {
    const turn = newest;
    if (drawn === turn || sound === null) return;
    drawn = turn;
    const ready = host.picture?.(it.index);
    ui.picture.classList.toggle("ready", !!ready);
    ui.picture.hidden = !ready && typeof sound === "string" && !sound.startsWith("blob:");
    if (ui.picture.hidden) return; // the bytes of a plain address cannot be read from a file
    const current = () => turn === newest;
    try {
      if (ready) await fetchPicture(canvas, ready, current);
      else {
        const y = await decode(sound);
        if (current()) develop(canvas, spectrogram(y));
      }
    } catch {
      if (current()) ui.picture.hidden = true; // the sound itself says what is wrong with it
    }
  };

  const follow = () => {
    ui.cursor.style.left = `${(100 * audio.currentTime) / audio.duration || 0}%`;
    if (!audio.paused && it.index >= 0) requestAnimationFrame(follow);
  };
  audio.addEventListener("playing", () => setTimeout(draw)); // never before the sound
  const yields = ({ target }) => { // one sound at a time, whoever plays it
    const others = target === audio ? document.querySelectorAll("audio") : [audio];
    for (const other of others) if (other !== target) other.pause();
  };
  document.addEventListener("play", yields, { capture: true });
  for (const name of ["play", "seeked", "ended"]) audio.addEventListener(name, follow);
  const seek = (event) => {
    if (!event.buttons || !audio.duration) return;
    const share = event.offsetX / ui.picture.clientWidth;
    audio.currentTime = Math.min(Math.max(share, 0), 0.999) * audio.duration;
  };
  ui.picture.addEventListener("pointerdown", seek);
  ui.picture.addEventListener("pointermove", seek);
  const stop = () => {
    newest++;
    audio.pause();
    audio.removeAttribute("src");
    URL.revokeObjectURL(url);
  };
  it.destroy = () => {
    stop();
    document.removeEventListener("play", yields, { capture: true });
  };

  /** Forget what was loaded: its row is another one now. */
  it.reset = () => {
    stop();
    audio.load();
    [it.index, sound, url, wanted] = [-1, null, "", false];
    delete audio.dataset.index;
    [ui.title.textContent, ui.about.textContent] = hint;
    ui.title.title = "";
    ui.cursor.style.left = "0";
    canvas.width = canvas.width;
    it.say("");
  };
  return it;
}

// The map

/** Draw a mark: colour and shape, so that it can be told without colour too. */
function stamp(fill, shape, edge, radius, alpha = 1) {
  const node = document.createElement("canvas");
  const size = Math.ceil(2 * radius + 4);
  node.width = node.height = size;
  const pen = node.getContext("2d");
  const [sides, turn] = OUTLINES[shape];
  const reach = radius * (sides > 4 ? 1 : 1.2);
  for (let i = 0; i <= sides; i++) {
    const angle = 2 * Math.PI * (i / sides + turn);
    pen.lineTo(size / 2 + reach * Math.cos(angle), size / 2 - reach * Math.sin(angle));
  }
  pen.closePath();
  pen.globalAlpha = alpha;
  pen.fillStyle = fill;
  pen.strokeStyle = edge;
  pen.lineWidth = radius / 6;
  pen.fill();
  if (radius > 3 && alpha === 1) pen.stroke();
  return { node, size, ink: new Uint32Array(pen.getImageData(0, 0, size, size).data.buffer) };
}

/** Arrange how a column of labels looks: a code for each point, a fill and shape for each code. */
function labelled(column, table) {
  const { colors } = table;
  const look = (_, code) => {
    const loop = Math.floor(code / colors.length);
    return [colors[code % colors.length], (code + loop) % OUTLINES.length];
  };
  const text = (i) => column.labels[column.codes[i]] ?? "";
  return { ...column, looks: [[NO_VALUE, 0], ...column.labels.map(look)], text };
}

/** Arrange how a column of numbers looks: a level of the ramp for each point. */
function measured(column, table) {
  const { name, values } = column;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const level = (value) => Math.round(((value - low) / (high - low || 1)) * (LEVELS - 1));
  const codes = values.map((value) => (Number.isFinite(value) ? level(value) : -1));
  const fills = ramp(table.ramp, LEVELS).map((rgb) => [`rgb(${rgb})`, 0]);
  const text = (i) => (codes[i] < 0 ? "" : `${name} ${short(values[i])}`);
  return { name, codes, low, high, looks: [[NO_VALUE, 0], ...fills], text };
}

/** Find the smallest and largest coordinates. */
function bounds(points) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < points.length; i++) {
    box[i % 2] = Math.min(box[i % 2], points[i]);
    box[2 + (i % 2)] = Math.max(box[2 + (i % 2)], points[i]);
  }
  return box;
}

/** Hold where the points stand on the screen: fitted, moved, zoomed. */
function camera(points) {
  const at = { points, box: bounds(points), scale: 1, x: 0, y: 0, fit: 1, fitted: true };
  at.spot = (x, y) => [x * at.scale + at.x, at.y - y * at.scale];
  at.place = (i) => at.spot(at.points[2 * i], at.points[2 * i + 1]);
  at.whole = (width, height) => {
    const { box } = at;
    const room = 0.92 * Math.min(width / (box[2] - box[0]), height / (box[3] - box[1]));
    at.fit = at.scale = Number.isFinite(room) && room > 0 ? room : 1;
    at.x = (width - (box[0] + box[2]) * at.scale) / 2;
    at.y = (height + (box[1] + box[3]) * at.scale) / 2;
    at.fitted = true;
  };
  at.move = (dx, dy) => {
    at.x += dx;
    at.y += dy;
    at.fitted = false;
  };
  at.zoom = (x, y, factor) => {
    const scale = Math.min(Math.max(at.scale * factor, at.fit / 2), at.fit * 2000);
    at.move((x - at.x) * (1 - scale / at.scale), (y - at.y) * (1 - scale / at.scale));
    at.scale = scale;
  };
  return at;
}

/** Report drags, pinches and wheels (`moved`), and what is drawn with lasso or box (`drawn`). */
function gestures(canvas, at, { tool, moved, drawn }) {
  const fingers = new Map();
  const state = { dragged: false, type: "mouse", path: null };
  let using = "Move";
  const spread = () => {
    const all = [...fingers.values()];
    const x = all.reduce((sum, finger) => sum + finger[0], 0) / all.length;
    const y = all.reduce((sum, finger) => sum + finger[1], 0) / all.length;
    return { x, y, size: Math.hypot(all[0][0] - x, all[0][1] - y) };
  };
  const outline = ([x, y], [left, top]) => {
    if (using === "Box") state.path = [[left, top], [x, top], [x, y], [left, y]];
    else (state.path ??= [[left, top]]).push([x, y]);
    drawn(state.path, false);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!fingers.size) state.dragged = false;
    state.type = event.pointerType;
    using = event.shiftKey && tool() === "Move" ? "Box" : tool();
    if (fingers.size) using = "Move"; // the second finger zooms
    state.path = null;
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const from = fingers.get(event.pointerId);
    if (!from) return;
    const to = [event.offsetX, event.offsetY];
    const far = Math.hypot(to[0] - from[0], to[1] - from[1]);
    if (!state.dragged && fingers.size === 1 && far < 5) return; // a click may tremble
    state.dragged = true;
    if (using !== "Move") return outline(to, from); // from stays where the drag began
    const before = spread();
    fingers.set(event.pointerId, to);
    const after = spread();
    at.move(after.x - before.x, after.y - before.y);
    if (before.size && after.size) at.zoom(after.x, after.y, after.size / before.size);
    moved();
  });
  const lift = (event) => {
    if (!fingers.delete(event.pointerId) || !state.path) return;
    const { path } = state;
    state.path = null;
    drawn(path, event.type === "pointerup");
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  const wheel = (event) => {
    event.preventDefault();
    event.stopPropagation();
    const speed = event.ctrlKey ? 0.01 : 0.0015; // a pinch on a touchpad comes with ctrl
    at.zoom(event.offsetX, event.offsetY, Math.exp(-event.deltaY * speed));
    moved();
  };
  canvas.addEventListener("wheel", wheel, { passive: false });
  return state;
}

/** Say whether a place lies in an outline: a ray to the right crosses it an odd number of times. */
function within(path, x, y) {
  let odd = false;
  for (let a = 0, b = path.length - 1; a < path.length; b = a++) {
    const [[ax, ay], [bx, by]] = [path[a], path[b]];
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) odd = !odd;
  }
  return odd;
}

/** Paint points, pixel by pixel: without a GPU that is ten times faster than drawImage. */
function paint(pen, at, codes, layers) {
  const { points } = at;
  const margin = Math.max(...layers.map((layer) => layer.stamps[0].size)); // no care at the border
  const wide = pen.canvas.width + 2 * margin;
  const high = pen.canvas.height + 2 * margin;
  const image = new ImageData(wide, high);
  const pixels = new Uint32Array(image.data.buffer);
  const dpr = devicePixelRatio; // read once: slow
  const [scale, left, top] = [at.scale * dpr, at.x * dpr + margin, at.y * dpr + margin];
  for (const { stamps, mask, value } of layers) {
    for (let i = 0; i < codes.length; i++) {
      if (mask && mask[i] !== value) continue;
      const { size, ink } = stamps[codes[i] + 1];
      const x = Math.round(points[2 * i] * scale + left - size / 2);
      const y = Math.round(top - points[2 * i + 1] * scale - size / 2);
      if (x < 0 || y < 0 || x + size > wide || y + size > high) continue;
      for (let from = 0, to = y * wide + x; from < ink.length; to += wide - size) {
        for (const end = from + size; from < end; from++, to++) {
          const pixel = ink[from];
          if (pixel > 0x7fffffff || !pixels[to]) pixels[to] = pixel; // 0xAABBGGRR: half or more
        }
      }
    }
  }
  pen.putImageData(image, -margin, -margin);
}

/** Build what stands around the points: title, tools, legend, panel. */
function furnish(root) {
  const stage = add(root, "div", "stage");
  const header = add(stage, "header");
  const heading = add(header, "h1");
  const about = add(header, "small");
  const bar = add(header, "div", "tools");
  const group = add(bar, "div", "one");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "What dragging does");
  const tools = Object.entries(TOOLS).map(([key, name]) => {
    const button = add(group, "button", "", name);
    button.title = `${name}: key ${key}`;
    button.dataset.key = key;
    return button;
  });
  const whole = add(bar, "button", "whole", "Whole map");
  const by = add(bar, "label", "", "Colour");
  const colour = add(by, "select");
  const legend = add(header, "ul", "legend");
  const plot = add(stage, "div", "plot");
  const points = add(plot, "canvas", "points");
  points.tabIndex = 0;
  points.setAttribute("role", "application");
  const marks = add(plot, "canvas", "marks");
  const tip = add(plot, "div", "tip");
  tip.hidden = true;
  heading.dir = tip.dir = "auto";
  const side = add(root, "div", "side");
  return { heading, about, tools, whole, by, colour, legend, plot, points, marks, tip, side };
}

/** Build the panel: search, neighbours, selection. */
function furnishPanel(side, playlists) {
  const panel = add(side, "div", "panel");
  const section = (name, tag) => {
    const node = add(panel, "section", name);
    const line = add(node, "div", "line");
    return { node, line, head: tag && add(line, tag), rows: null };
  };
  const search = section("search");
  const find = add(search.line, "input", "find");
  find.type = "search";
  find.placeholder = "Search titles";
  find.setAttribute("aria-label", "Search titles; Enter plays the first");
  const all = add(search.line, "button", "all", "Select");
  all.title = "Select all that are found";
  all.disabled = true;
  search.head = add(search.node, "small");
  const near = section("near", "h2");
  const picked = section("picked", "h2");
  const clear = add(picked.line, "button", "clear", "Clear");
  const line = add(picked.node, "div", "line");
  const label = add(line, "input", "label");
  label.type = "text";
  label.placeholder = "Name for these";
  label.setAttribute("aria-label", "Name for the selected segments");
  const name = add(line, "button", "name", "Name");
  const save = add(line, "button", "save", "Save table");
  const list = add(line, "button", "list", "Playlist");
  list.hidden = !playlists;
  for (const part of [search, near, picked]) part.rows = add(part.node, "ol", "rows");
  search.head.setAttribute("role", "status");
  near.node.hidden = picked.node.hidden = true;
  return { panel, search, near, picked, find, all, clear, label, name, save, list };
}

/** Fill a list with rows that play. */
function fill(list, rows, table, chosen) {
  const focused = list.contains(document.activeElement);
  list.replaceChildren(...rows.map((i) => {
    const item = document.createElement("li");
    const button = add(item, "button");
    button.dataset.row = i;
    button.title = table.titles[i];
    if (i === chosen) button.setAttribute("aria-current", "true");
    add(button, "span", "name", table.titles[i]).dir = "auto";
    add(button, "span", "when", span(table, i));
    return item;
  }));
  list.scrollTop = 0;
  if (focused) list.querySelector("button")?.focus();
}

/** Write rows as csv in which no spreadsheet finds a formula. */
function csv(rows, table, columns) {
  const cell = (value) => {
    const text = typeof value === "string" ? value.replace(/^[=+\-@\t\r]/, "'$&") : `${value ?? ""}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const value = ({ values, labels, codes }, i) => (values ? values[i] : labels[codes[i]]);
  const line = (i) => [
    table.titles[i], table.start_s[i], table.end_s[i], ...columns.map((column) => value(column, i)),
  ];
  const head = ["title", "start_s", "end_s", ...columns.map(({ name }) => name)];
  return [head, ...rows.map(line)].map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** Hand a text to the browser as a file to keep. */
function download(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Find the rows nearest to row i on the plane, nearest first. */
function nearest(points, i, k) {
  const [rows, far] = [[], []];
  for (let j = 0; j < points.length / 2; j++) {
    const d = (points[2 * j] - points[2 * i]) ** 2 + (points[2 * j + 1] - points[2 * i + 1]) ** 2;
    if (j === i || (rows.length === k && d >= far[k - 1])) continue;
    let at = rows.length;
    while (at > 0 && far[at - 1] > d) at--;
    rows.splice(at, 0, j);
    far.splice(at, 0, d);
    if (rows.length > k) rows.pop(), far.pop();
  }
  return rows;
}

/**
 * Put the map into an element.
 *
 * @param el    element to fill; it hears the keys; --ml-height sets its height (else the window's)
 * @param host  points: Float32Array x0 y0 x1 y1 ...; near: Int32Array, rows of neighbours, or null;
 *              table: title, about, colors, ramp, titles, start_s, end_s, columns (each with name
 *              and labels and codes, or name and values); sound(i): Blob, URL or a promise of a
 *              Blob; picture(i): URL; playlists: a kernel writes them; on: chosen, selected, named,
 *              playlist
 * @returns     place(i), choose(i, play), select(rows), update(parts), trail(xy), say(text),
 *              destroy()
 */
export function mount(el, host) {
  const gone = new AbortController();
  const { signal } = gone;
  const root = frame(el, "ml-map", signal, () => redress());
  const on = host.on ?? {};
  let { table, near } = host;
  let columns = table.columns.map((column) => ({ ...column }));
  const at = camera(host.points);
  const ui = furnish(root);
  const caption = (i) => [table.titles[i], describe(i)];
  const hint = ["Click a point to hear it", "Space plays, arrows step, wheel or pinch zooms"];
  const sounder = player(ui.side, host, caption, hint);
  const pane = furnishPanel(ui.side, host.playlists);
  const pen = ui.points.getContext("2d");
  const marks = ui.marks.getContext("2d");
  let tool = "Move";
  let shown = 0; // column
  let view = null;
  let layers = {}; // stamps: plain, dim, lifted
  let radius = 0;
  let selection = [];
  let found = null; // rows that the search matches
  let mask = null; // of the points that stand out
  let folded = null; // titles for the search
  let way = []; // x0 y0 x1 y1 ...
  let [width, height, pending, chosen, hovered] = [0, 0, 0, -1, -1];
  const size = () => table.titles.length;

  /** Find the point of least cost; among equals the one on top. */
  const cheapest = (cost) => {
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < size(); i++) {
      const c = cost(i);
      if (c <= least && c < Infinity) [best, least] = [i, c];
    }
    return best;
  };

  const under = (x, y) => {
    const reach = (gesture.type === "touch" ? 24 : 10) ** 2;
    const { points } = at;
    return cheapest((i) => {
      const dx = points[2 * i] * at.scale + at.x - x;
      const dy = at.y - points[2 * i + 1] * at.scale - y;
      const far = dx * dx + dy * dy;
      return far < reach ? far - (mask?.[i] ?? 0) * reach : Infinity; // what stands out first
    });
  };

  /** Find the neighbour in a direction; points at the very same place follow each other. */
  const neighbour = ([right, up]) => cheapest((i) => {
    const { points } = at;
    const dx = points[2 * i] - points[2 * chosen];
    const dy = points[2 * i + 1] - points[2 * chosen + 1];
    if (!dx && !dy) return (i - chosen) * (right + up) > 0 ? -1 / Math.abs(i - chosen) : Infinity;
    const ahead = dx * right + dy * up;
    const aside = Math.abs(dx * up) + Math.abs(dy * right);
    return ahead > 0 && ahead >= aside ? dx * dx + dy * dy : Infinity;
  });

  const central = () => cheapest((i) => {
    const [x, y] = at.place(i);
    return Math.hypot(x - width / 2, y - height / 2);
  });

  const describe = (i) => [span(table, i), view.text(i)].filter(Boolean).join(" \u00b7 ");

  const color = (name) => getComputedStyle(root).getPropertyValue(name);

  /** Paint a point again above the others, in a ring. */
  const ring = (i, reach) => {
    const [x, y] = at.place(i);
    marks.beginPath();
    marks.arc(x, y, reach, 0, 2 * Math.PI);
    marks.fillStyle = color("--ground");
    marks.strokeStyle = color("--ink");
    marks.lineWidth = 2;
    marks.fill();
    marks.stroke();
    const { node, size: side } = layers.plain[view.codes[i] + 1];
    const wide = side / devicePixelRatio;
    marks.drawImage(node, x - wide / 2, y - wide / 2, wide, wide);
  };

  const line = (spots, dash) => {
    marks.beginPath();
    for (const [x, y] of spots) marks.lineTo(x, y);
    for (const [ink, wide] of [["--ground", 6], ["--strong", 2.5]]) {
      marks.strokeStyle = color(ink);
      marks.lineWidth = wide;
      marks.setLineDash(wide < 6 ? dash : []); // on a pale band, to be seen among the points
      marks.stroke();
    }
    marks.setLineDash([]);
  };

  const drawWay = () => {
    const spots = [];
    for (let i = 0; i < way.length; i += 2) spots.push(at.spot(way[i], way[i + 1]));
    line(spots, []);
    for (const [x, y] of spots) {
      marks.beginPath();
      marks.arc(x, y, 4, 0, 2 * Math.PI);
      marks.fillStyle = color("--ground");
      marks.fill();
      marks.stroke();
    }
  };

  const mark = () => {
    marks.clearRect(0, 0, width, height);
    if (way.length) drawWay();
    if (hovered >= 0 && hovered !== chosen) ring(hovered, radius + 3);
    if (chosen >= 0) ring(chosen, radius + 5);
    if (gesture.path) line([...gesture.path, gesture.path[0]], [5, 4]);
  };

  const draw = () => {
    pending = 0;
    if (!width) return;
    const all = [{ stamps: layers.plain, mask: null }];
    const two = [{ stamps: layers.dim, mask, value: 0 }, { stamps: layers.lifted, mask, value: 1 }];
    paint(pen, at, view.codes, mask ? two : all);
    ui.whole.disabled = at.fitted;
    mark();
  };
  const later = () => { pending ||= requestAnimationFrame(draw); };
  const refresh = () => {
    hover(-1);
    later();
  };

  /** Ring a point, and say what it is where the pointer is on the map. */
  const hover = (i, tip = true) => {
    if (i === hovered) return;
    hovered = i;
    ui.points.classList.toggle("over", i >= 0);
    ui.tip.hidden = i < 0 || !tip;
    if (!ui.tip.hidden) {
      const [x, y] = at.place(i);
      ui.tip.replaceChildren();
      add(ui.tip, "div", "title", table.titles[i]);
      add(ui.tip, "div", "about", describe(i));
      const left = Math.max(4, Math.min(x + 14, width - ui.tip.offsetWidth - 4));
      const below = y + 14 + ui.tip.offsetHeight < height;
      ui.tip.style.left = `${left}px`;
      ui.tip.style.top = `${below ? y + 14 : Math.max(0, y - 14 - ui.tip.offsetHeight)}px`;
    }
    mark();
  };

  // Looks

  /** Make the stamps of the shown column; points that stand out need two more sets. */
  const dress = () => {
    radius = Math.min(Math.max(130 / Math.sqrt(size()), 2.2), 7);
    const made = new Map();
    const make = (name, edge, reach, alpha) => view.looks.map(([look, shape]) => {
      const key = [name, look, shape].join();
      if (!made.has(key)) made.set(key, stamp(look, shape, edge, reach * devicePixelRatio, alpha));
      return made.get(key);
    });
    layers = { plain: make("plain", color("--edge"), radius) };
    if (!mask) return;
    layers.dim = make("dim", "#0000", radius, 0.22);
    layers.lifted = make("lifted", color("--ink"), radius * 1.2 + 1);
  };

  const legendMark = (code, text) => {
    const item = add(ui.legend, "li");
    const [look, shape] = view.looks[code + 1];
    const { node, size: side } = stamp(look, shape, color("--edge"), 5 * devicePixelRatio);
    node.style.width = `${side / devicePixelRatio}px`;
    item.append(node, text);
  };

  const dressLegend = () => {
    ui.legend.replaceChildren();
    const used = new Set(view.codes);
    if (view.labels) {
      const codes = [...view.labels.keys()].filter((code) => used.has(code));
      for (const code of codes.slice(0, 60)) legendMark(code, view.labels[code]);
      if (codes.length > 60) add(ui.legend, "li", "", `and ${codes.length - 60} more`);
    } else if (view.low <= view.high) {
      add(ui.legend, "li", "", short(view.low));
      const scale = add(add(ui.legend, "li"), "div", "scale");
      scale.style.background = `linear-gradient(90deg, ${table.ramp})`;
      add(ui.legend, "li", "", short(view.high));
    }
    if (columns.length && used.has(-1)) legendMark(-1, view.labels ? "no label" : "no value");
  };

  /** Colour by a column. */
  const show = (index) => {
    shown = Math.max(0, Math.min(index, columns.length - 1));
    const column = columns[shown] ?? { labels: [], codes: new Array(size()).fill(-1) };
    view = column.labels ? labelled(column, table) : measured(column, table);
    ui.by.hidden = !columns.length;
    ui.colour.replaceChildren();
    for (const { name } of columns) add(ui.colour, "option", "", name);
    ui.colour.selectedIndex = shown;
    dress();
    dressLegend();
    sounder.describe();
    refresh();
  };

  const redress = () => {
    dress();
    dressLegend();
    refresh();
  };

  const resize = () => {
    root.classList.toggle("wide", root.clientWidth >= 960);
    const [before, tall] = [width, height];
    ({ clientWidth: width, clientHeight: height } = ui.plot);
    for (const canvas of [ui.points, ui.marks]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
    }
    marks.scale(devicePixelRatio, devicePixelRatio);
    if (at.fitted) at.whole(width, height);
    else at.move((width - before) / 2, (height - tall) / 2);
    redress(); // the pixel ratio may be another
  };

  // What stands out

  /** Lift the points of the search, or else those of the selection. */
  const lift = () => {
    const rows = found ?? (selection.length ? selection : null);
    mask = rows && new Uint8Array(size());
    for (const i of rows ?? []) mask[i] = 1;
    dress();
    later();
  };

  const select = (rows) => {
    const known = (i) => Number.isInteger(i) && i >= 0 && i < size();
    selection = [...new Set(rows)].filter(known).sort((a, b) => a - b);
    pane.picked.node.hidden = !selection.length;
    const { length } = selection;
    pane.picked.head.textContent = `${length.toLocaleString("en")} selected`;
    if (length > 200) add(pane.picked.head, "small", "", " (first 200 listed)");
    fill(pane.picked.rows, selection.slice(0, 200), table, chosen);
    lift();
  };
  const pick = (rows) => {
    select(rows);
    on.selected?.(selection);
  };

  const search = () => {
    folded ??= table.titles.map(fold);
    const words = fold(pane.find.value.trim());
    found = words ? [...folded.keys()].filter((i) => folded[i].includes(words)) : null;
    const first = (found ?? []).slice(0, 50);
    fill(pane.search.rows, first, table, chosen);
    pane.search.head.textContent = !found ? "" : count(found.length, "segment")
      + (found.length > 50 ? ", first 50 listed" : "");
    pane.all.disabled = !found?.length;
    lift();
  };

  const listNear = () => {
    if (chosen < 0) return;
    const k = near ? near.length / size() : 0;
    const rows = near
      ? [...near.subarray(k * chosen, k * (chosen + 1))].filter((i) => i >= 0 && i !== chosen)
      : nearest(at.points, chosen, 8);
    pane.near.node.hidden = !rows.length;
    pane.near.head.textContent = "Neighbours";
    add(pane.near.head, "small", "", near ? " in the latent space" : " on the map");
    fill(pane.near.rows, rows.slice(0, 8), table, chosen);
  };

  const drawn = (path, done) => {
    if (!done) return gesture.path ? mark() : later();
    const rows = [];
    for (let i = 0; i < size(); i++) if (within(path, ...at.place(i))) rows.push(i);
    pick(rows);
  };

  // Names

  const giveName = () => {
    const text = pane.label.value.trim();
    if (!text || !selection.length) return;
    let index = columns.findIndex(({ name, labels }) => name === "named" && labels);
    if (index < 0) {
      index = columns.push({ name: "named", labels: [], codes: new Array(size()).fill(-1) }) - 1;
    }
    const labels = [...new Set([...columns[index].labels, text])];
    const codes = [...columns[index].codes];
    for (const i of selection) codes[i] = labels.indexOf(text);
    columns[index] = { name: "named", labels, codes };
    show(index);
    sounder.say(`${count(selection.length, "segment")} named ${text}`);
    on.named?.(text, selection);
  };

  const save = () => download(csv(selection, table, columns), "selection.csv");

  // Choosing and playing

  const choose = (i) => {
    if (!(i >= 0 && i < size()) || (i === chosen && !sounder.empty())) return;
    chosen = i;
    sounder.load(i);
    const [x, y] = at.place(i);
    if (width && (x < 0 || y < 0 || x > width || y > height)) {
      at.move(width / 2 - x, height / 2 - y);
      refresh();
    }
    mark();
    setTimeout(tellChosen); // the sound first
  };

  const tellChosen = () => {
    listNear();
    for (const row of pane.panel.querySelectorAll("[data-row]")) {
      row.toggleAttribute("aria-current", false);
      if (+row.dataset.row === chosen) row.setAttribute("aria-current", "true");
    }
  };

  /** Play from the start what was clicked. */
  const hear = (i) => {
    if (!(i >= 0 && i < size())) return;
    choose(i);
    sounder.audio.currentTime = 0; // the same point again
    sounder.start();
  };
  const click = (i) => {
    if (i < 0) return;
    hear(i);
    on.chosen?.(i);
  };

  const step = (key) => {
    const playing = !sounder.audio.paused;
    const before = chosen;
    if (chosen < 0) choose(central());
    else if (key !== " ") choose(neighbour(ARROWS[key]));
    if (key === " " && playing) return sounder.toggle();
    if (key !== " " && !(playing && chosen !== before)) return;
    sounder.start();
    on.chosen?.(chosen);
  };

  const take = (name) => {
    tool = ui.points.dataset.tool = name;
    for (const button of ui.tools) {
      button.setAttribute("aria-pressed", `${button.textContent === name}`);
    }
  };

  const gesture = gestures(ui.points, at, { tool: () => tool, moved: refresh, drawn });
  ui.points.addEventListener("pointermove", (event) => {
    if (!event.buttons && event.pointerType !== "touch") hover(under(event.offsetX, event.offsetY));
  });
  ui.points.addEventListener("pointerleave", () => hover(-1));
  ui.points.addEventListener("click", (event) => {
    if (!gesture.dragged) click(under(event.offsetX, event.offsetY));
  });
  for (const button of ui.tools) button.addEventListener("click", () => take(button.textContent));
  ui.whole.addEventListener("click", () => {
    at.whole(width, height);
    refresh();
  });
  ui.colour.addEventListener("change", () => show(ui.colour.selectedIndex));
  pane.find.addEventListener("input", search);
  pane.find.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && found?.length) click(found[0]);
  });
  pane.label.addEventListener("keydown", (event) => event.key === "Enter" && giveName());
  pane.name.addEventListener("click", giveName);
  pane.save.addEventListener("click", save);
  pane.list.addEventListener("click", () => on.playlist?.(selection));
  pane.clear.addEventListener("click", () => pick([]));
  pane.all.addEventListener("click", () => pick(found ?? []));
  const row = (event) => +(event.target.closest("[data-row]")?.dataset.row ?? -1);
  pane.panel.addEventListener("click", (event) => click(row(event)));
  pane.panel.addEventListener("pointerover", (event) => hover(row(event), false));
  pane.panel.addEventListener("pointerleave", () => hover(-1));
  el.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key in TOOLS && !target.closest("input, select, textarea")) return take(TOOLS[key]);
    const busy = target.closest("audio, button, input, select, textarea");
    if (busy || !(key === " " || key in ARROWS)) return;
    event.preventDefault();
    step(key);
  }, { signal });

  const title = () => {
    ui.heading.textContent = table.title;
    ui.about.textContent = table.about;
    const help = "Arrow keys step, space plays; m, l and b: move, lasso, box.";
    ui.points.setAttribute("aria-label", `${table.title}, ${table.about}. ${help}`);
  };

  /** Show other points, neighbours or table; camera, selection and sound stay. */
  const update = (parts) => {
    const name = columns[shown]?.name;
    const own = columns.find((column) => column.name === "named");
    ({ table = table, near = near } = parts);
    if (parts.points) [at.points, at.box] = [parts.points, bounds(parts.points)];
    if (parts.table) columns = table.columns.map((column) => ({ ...column }));
    if (parts.table && own && !columns.some((column) => column.name === "named")) {
      columns.push({ ...own, codes: table.titles.map((_, i) => own.codes[i] ?? -1) });
    }
    folded = null;
    if (at.fitted) at.whole(width, height);
    if (chosen >= size()) chosen = -1;
    hovered = -1;
    title();
    show(columns.findIndex((column) => column.name === name));
    select(selection);
    search();
    listNear();
  };

  take("Move");
  title();
  root.classList.toggle("wide", root.clientWidth >= 960);
  show(0); // before the plot is measured: the legend takes room
  const observer = new ResizeObserver(resize);
  observer.observe(ui.plot);
  observer.observe(root);
  const handle = {
    place: at.place,
    choose: (i, play = false) => (play ? hear(i) : choose(i)),
    select,
    update,
    trail: (xy) => {
      way = xy;
      mark();
    },
    say: sounder.say,
    destroy: () => {
      gone.abort();
      observer.disconnect();
      cancelAnimationFrame(pending);
      sounder.destroy();
      root.remove();
    },
  };
  el.explorer = handle;
  return handle;
}

// Two maps

/**
 * Put two maps of the same rows side by side: what is selected or clicked in one shows in both.
 *
 * @param el     element to fill
 * @param hosts  two hosts as for `mount`, with as many rows; `on` of the first hears of both
 * @returns      maps, select(rows), choose(i, play), update(parts of each), trail(xy), say(text),
 *               destroy()
 */
export function mountPair(el, hosts) {
  const root = add(el, "div", "ml-pair");
  const on = hosts[0].on ?? {};
  const maps = hosts.map((host, side) => {
    const other = () => maps[1 - side];
    const linked = {
      ...on,
      chosen: (i) => {
        other().choose(i);
        on.chosen?.(i);
      },
      selected: (rows) => {
        other().select(rows);
        on.selected?.(rows);
      },
    };
    return mount(add(root, "div"), { ...host, on: linked });
  });
  const handle = {
    maps,
    select: (rows) => maps.forEach((map) => map.select(rows)),
    choose: (i, play) => maps.forEach((map, side) => map.choose(i, play && !side)),
    update: (parts) => parts.forEach((part, side) => maps[side].update(part)),
    trail: maps[0].trail,
    say: (text) => maps.forEach((map) => map.say(text)),
    destroy: () => {
      for (const map of maps) map.destroy();
      root.remove();
    },
  };
  el.explorer = handle;
  return handle;
}

// The table

/** Fill the table: title, time and the columns of the host. */
function fillTable(sheet, table) {
  sheet.replaceChildren();
  const grid = add(sheet, "table");
  const head = add(add(grid, "thead"), "tr");
  for (const name of ["Title", "Time", ...table.columns.map((column) => column.name)]) {
    add(head, "th", "", name).scope = "col";
  }
  const body = add(grid, "tbody");
  for (let i = 0; i < table.titles.length; i++) {
    const row = add(body, "tr");
    row.tabIndex = i ? -1 : 0; // Tab enters the table once, arrows step in it
    row.dataset.row = i;
    add(row, "td", "", table.titles[i]).dir = "auto";
    add(row, "td", "when", span(table, i));
    for (const { name, cells } of table.columns) add(row, "td", "", cells[i]).dataset.name = name;
  }
}

/**
 * Put a table into an element: a click, Enter or space plays exactly that row.
 *
 * @param el    element to fill; --ml-height limits its height (else the window's)
 * @param host  table: title, titles, start_s, end_s, columns (name, cells); sound(i), picture(i),
 *              on.chosen as for `mount`
 * @returns     choose(i, play), update({table}), say(text), destroy()
 */
export function mountRows(el, host) {
  const gone = new AbortController();
  const root = frame(el, "ml-rows", gone.signal, () => {});
  let { table } = host;
  const heading = add(root, "h1", "", table.title);
  heading.dir = "auto";
  const caption = (i) => [table.titles[i], span(table, i)];
  const sounder = player(root, host, caption, ["Click a row to hear it", "Enter or space plays"]);
  const sheet = add(root, "div", "sheet");

  const choose = (i, play = false) => {
    const row = sheet.querySelector(`[data-row="${i}"]`);
    if (!row) return;
    if (i !== sounder.index || sounder.empty()) sounder.load(i);
    if (play) {
      sounder.audio.currentTime = 0;
      sounder.start();
    }
    sheet.querySelector("[aria-current]")?.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
    row.scrollIntoView({ block: "nearest" });
  };
  const play = (row) => {
    if (!row) return;
    choose(+row.dataset.row, true);
    host.on?.chosen?.(+row.dataset.row);
  };
  sheet.addEventListener("click", (event) => play(event.target.closest("[data-row]")));
  sheet.addEventListener("focusin", ({ target }) => {
    for (const row of sheet.querySelectorAll('[tabindex="0"]')) row.tabIndex = -1;
    target.closest("[data-row]").tabIndex = 0;
  });
  sheet.addEventListener("keydown", (event) => {
    const row = event.target.closest("[data-row]");
    const next = { ArrowDown: row?.nextSibling, ArrowUp: row?.previousSibling }[event.key];
    if (next) next.focus();
    else if (event.key === "Enter" || event.key === " ") play(row);
    else return;
    event.preventDefault();
  });
  const observer = new ResizeObserver(() => {
    root.classList.toggle("narrow", root.clientWidth < 560);
  });
  observer.observe(root);
  fillTable(sheet, table);
  const handle = {
    choose,
    update: (parts) => {
      table = parts.table;
      heading.textContent = table.title;
      fillTable(sheet, table);
      sounder.reset();
    },
    say: sounder.say,
    destroy: () => {
      gone.abort();
      observer.disconnect();
      sounder.destroy();
      root.remove();
    },
  };
  el.explorer = handle;
  return handle;
}

// Notebooks

/** See the bytes of a trait, which may be a part of a larger buffer. */
function raw(value) {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return new Uint8Array(value ?? 0);
}

/** Copy bytes out as numbers of a type. */
const numbers = (Type, value) => new Type(raw(value).slice().buffer);

const mp3 = (value) => new Blob([raw(value)], { type: "audio/mpeg" });

/** Find sounds in the traits, or ask the kernel for one; only the newest answer counts. */
function library(model) {
  let newest = Math.floor(Math.random() * 1e9); // another view of the same widget asks too
  let waiting = null;
  const ask = (index) => new Promise((resolve, reject) => {
    waiting = { index, resolve, reject };
    model.send({ ask: index, number: ++newest });
  });
  const answer = (message, buffers) => {
    if (!waiting || message.number !== newest || message.index !== waiting.index) return;
    if (message.refused) waiting.reject(new Error(message.refused));
    else waiting.resolve(mp3(buffers[0]));
    waiting = null;
  };
  const sound = (i) => {
    const offsets = numbers(Uint32Array, model.get("offsets"));
    if (i >= offsets.length - 1) return ask(i); // too much to send at once, or added later
    return mp3(raw(model.get("sound")).subarray(offsets[i], offsets[i + 1]));
  };
  return { sound, answer };
}

/** Gather the traits of a map; those of the second of two end in `_beside`. */
function traits(model, end = "") {
  const near = numbers(Int32Array, model.get(`near${end}`));
  const points = numbers(Float32Array, model.get(`points${end}`));
  return { points, near: near.length ? near : null, table: model.get(`table${end}`) };
}

/** Send files that are dropped on an element to the kernel. */
function takeDrops(el, model, say, signal) {
  const held = (event) => model.get("drops") && [...event.dataTransfer.types].includes("Files");
  el.addEventListener("dragover", (event) => held(event) && event.preventDefault(), { signal });
  el.addEventListener("drop", async (event) => {
    if (!held(event)) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would upload it to its own folder
    for (const file of event.dataTransfer.files) {
      if (file.size > DROP_MB * 1e6) {
        say(`${file.name} has more than ${DROP_MB} MB; cut it, or convert it to mp3`);
        continue;
      }
      try {
        say(`Sending ${file.name}`);
        model.send({ file: file.name }, undefined, [await file.arrayBuffer()]);
      } catch (error) {
        say(`${file.name} cannot be read: ${error.message}`);
      }
    }
  }, { signal });
}

/** Show the widget (anywidget): the traits in, clicks and selections out. */
function render({ model, el }) {
  el.style.setProperty("--ml-height", `${model.get("height") || 600}px`);
  const gone = new AbortController();
  const mine = (event) => !(event.ctrlKey || event.metaKey);
  // JupyterLab's own shortcuts of plain keys stop here; ctrl and meta are still its own.
  const quiet = (event) => el.toggleAttribute("data-lm-suppress-shortcuts", mine(event));
  window.addEventListener("keydown", quiet, { capture: true, signal: gone.signal });
  const keep = (event) => mine(event) && event.stopPropagation();
  el.addEventListener("keydown", keep, { signal: gone.signal });
  const kind = model.get("kind");
  const rows = kind === "rows";
  const { sound, answer } = library(model);
  const write = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const on = {
    chosen: (index) => write("clicked", { index, count: (model.get("clicked")?.count ?? 0) + 1 }),
    selected: (list) => write("selected", list),
    named: (name, list) => model.send({ name, rows: list }),
    playlist: (list) => model.send({ playlist: list }),
  };
  const shown = () => {
    if (rows) return { table: model.get("table") };
    return kind === "pair" ? [traits(model), traits(model, "_beside")] : traits(model);
  };
  const host = { sound, playlists: model.get("playlists"), on };
  const handle = {
    map: () => mount(el, { ...shown(), ...host }),
    rows: () => mountRows(el, { ...shown(), ...host }),
    pair: () => mountPair(el, shown().map((parts) => ({ ...parts, ...host }))),
  }[kind]();
  if (!rows) takeDrops(el, model, handle.say, gone.signal);
  let due = false;
  const change = () => {
    if (due) return;
    due = true;
    queueMicrotask(() => { // points and table change together
      due = false;
      handle.update(shown());
    });
  };
  const custom = (message, buffers) => {
    if (message.said) handle.say(message.said);
    answer(message, buffers);
  };
  const heard = { "change:table": change, "msg:custom": custom };
  if (!rows) {
    const selected = () => handle.select(model.get("selected") ?? []);
    const trail = () => handle.trail(model.get("trail") ?? []);
    Object.assign(heard, { "change:points": change, "change:near": change,
      "change:selected": selected, "change:trail": trail });
    selected();
    trail();
  }
  for (const [event, listener] of Object.entries(heard)) model.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(heard)) model.off(event, listener);
    gone.abort();
    handle.destroy();
  };
}

export default { render };
