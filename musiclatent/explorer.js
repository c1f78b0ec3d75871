// A map that plays: a scatter on a canvas in which a click plays exactly that segment.
// `mount(el, host)` needs nothing of the page around it, so that any host can call it.

const STYLE = `
.ml-map { --ink: #1d2127; --soft: #5c6470; --ground: #fcfcfb; --card: #fff; --line: #dcdfe3;
  --edge: #0006; color-scheme: light; display: grid; grid: auto 1fr auto / minmax(0, 1fr);
  height: 100%; box-sizing: border-box; background: var(--ground); color: var(--ink);
  font: 15px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
@media (prefers-color-scheme: dark) { .ml-map { --ink: #e9ebee; --soft: #a2aab5;
  --ground: #15181c; --card: #1e2227; --line: #343a42; --edge: #0009; color-scheme: dark; } }
.ml-map header { padding: .75rem 1rem .5rem; }
.ml-map h1 { font-size: 1.15rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
.ml-map small, .ml-map .about { color: var(--soft); font-size: .87rem; }
.ml-map ul { display: flex; flex-wrap: wrap; gap: .1rem .9rem; list-style: none; margin: .4rem 0 0;
  padding: 0; font-size: .87rem; max-height: 17vh; overflow-y: auto; }
.ml-map li { display: flex; align-items: center; gap: .35rem; }
.ml-map .plot { position: relative; min-height: 12rem; overflow: hidden;
  border: solid var(--line); border-width: 1px 0; }
.ml-map .plot canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.ml-map .points { touch-action: none; cursor: grab; outline: none; }
.ml-map .points.over { cursor: pointer; }
.ml-map .points:focus-visible { box-shadow: inset 0 0 0 2px #4a90d9; }
.ml-map .marks { pointer-events: none; }
.ml-map .whole { position: absolute; right: .6rem; top: .6rem; font: inherit; font-size: .87rem;
  color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .25rem .6rem; cursor: pointer; }
.ml-map .tip { position: absolute; max-width: min(20rem, 75%); padding: .35rem .6rem;
  pointer-events: none; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; box-shadow: 0 2px 8px #0003; overflow-wrap: anywhere; font-size: .87rem; }
.ml-map footer { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 1rem;
  padding: .6rem 1rem; background: var(--card); }
.ml-map .said { flex: 1 1 16rem; min-width: 0; }
.ml-map .said > * { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.ml-map .title { font-weight: 600; }
@media (max-width: 40rem) { .ml-map .said .title { white-space: normal; display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 2; height: 2.8em; } }
.ml-map audio { flex: 1 1 16rem; max-width: 30rem; height: 40px; }
.ml-map [hidden] { display: none; }
`;
const OUTLINES = [[32, 0], [4, 0.125], [3, 0.25], [4, 0]]; // sides, turn: circle, square, ...
const NO_LABEL = "#9aa0a8";
const KEYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** Add an element with a class and plain text. */
function add(parent, tag, name = "", text = "") {
  const node = document.createElement(tag);
  if (name) node.className = name;
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

/** Draw the mark of a label: colour and shape, so that it can be told without colour too. */
function stamp(code, colors, edge, radius) {
  const node = document.createElement("canvas");
  const size = Math.ceil(2 * radius + 4);
  node.width = node.height = size;
  const pen = node.getContext("2d");
  const loop = Math.floor(code / colors.length);
  const [sides, turn] = OUTLINES[code < 0 ? 0 : (code + loop) % OUTLINES.length];
  const reach = radius * (sides > 4 ? 1 : 1.2);
  for (let i = 0; i <= sides; i++) {
    const angle = 2 * Math.PI * (i / sides + turn);
    pen.lineTo(size / 2 + reach * Math.cos(angle), size / 2 - reach * Math.sin(angle));
  }
  pen.closePath();
  pen.fillStyle = code < 0 ? NO_LABEL : colors[code % colors.length];
  pen.strokeStyle = edge;
  pen.lineWidth = radius / 6;
  pen.fill();
  if (radius > 3) pen.stroke();
  return { node, size, ink: new Uint32Array(pen.getImageData(0, 0, size, size).data.buffer) };
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

/** Build what stands around the points: title, legend, panel and player. */
function furnish(el, table) {
  const root = add(el, "div", "ml-map");
  add(root, "style", "", STYLE);
  const header = add(root, "header");
  add(header, "h1", "", table.title);
  add(header, "small", "", table.about);
  const legend = add(header, "ul");
  const plot = add(root, "div", "plot");
  const points = add(plot, "canvas", "points");
  points.tabIndex = 0;
  points.setAttribute("role", "img");
  points.setAttribute("aria-label", `${table.title}, ${table.about}. Arrow keys step, space plays.`);
  const marks = add(plot, "canvas", "marks");
  const tip = add(plot, "div", "tip");
  const whole = add(plot, "button", "whole", "Whole map");
  tip.hidden = whole.hidden = true;
  const footer = add(root, "footer");
  const said = add(footer, "div", "said");
  said.setAttribute("aria-live", "polite");
  const title = add(said, "div", "title", "Click a point to hear it");
  const about = add(said, "div", "about", "Space plays, arrows step, wheel or pinch zooms");
  title.dir = tip.dir = "auto";
  const audio = add(footer, "audio");
  audio.controls = true;
  return { root, legend, plot, points, marks, tip, whole, title, about, audio };
}

/** Hold where the points stand on the screen: fitted, moved, zoomed. */
function camera(points) {
  const box = bounds(points);
  const at = { scale: 1, x: 0, y: 0, fit: 1, fitted: true };
  at.place = (i) => [points[2 * i] * at.scale + at.x, at.y - points[2 * i + 1] * at.scale];
  at.whole = (width, height) => {
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

/** Report drags and pinches on a canvas to `moved`, and wheels; say whether a drag is on. */
function gestures(canvas, at, moved) {
  const fingers = new Map();
  const state = { dragged: false, type: "mouse" };
  const spread = () => {
    const all = [...fingers.values()];
    const x = all.reduce((sum, finger) => sum + finger[0], 0) / all.length;
    const y = all.reduce((sum, finger) => sum + finger[1], 0) / all.length;
    return { x, y, size: Math.hypot(all[0][0] - x, all[0][1] - y) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!fingers.size) state.dragged = false;
    state.type = event.pointerType;
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const from = fingers.get(event.pointerId);
    if (!from) return;
    const far = Math.hypot(event.offsetX - from[0], event.offsetY - from[1]);
    if (!state.dragged && fingers.size === 1 && far < 5) return; // a click may tremble
    const before = spread();
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    const after = spread();
    state.dragged = true;
    at.move(after.x - before.x, after.y - before.y);
    if (before.size && after.size) at.zoom(after.x, after.y, after.size / before.size);
    moved();
  });
  const lift = (event) => fingers.delete(event.pointerId);
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  const wheel = (event) => {
    event.preventDefault();
    at.zoom(event.offsetX, event.offsetY, Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)));
    moved();
  };
  canvas.addEventListener("wheel", wheel, { passive: false });
  return state;
}

/** Paint all points, pixel by pixel: without a GPU that is ten times faster than drawImage. */
function paint(pen, at, points, codes, stamps) {
  const margin = stamps[0].size; // so that points cut by the border need no care
  const wide = pen.canvas.width + 2 * margin;
  const high = pen.canvas.height + 2 * margin;
  const image = new ImageData(wide, high);
  const pixels = new Uint32Array(image.data.buffer);
  const dpr = devicePixelRatio; // read once: slow
  const [scale, left, top] = [at.scale * dpr, at.x * dpr + margin, at.y * dpr + margin];
  for (let i = 0; i < codes.length; i++) {
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
  pen.putImageData(image, -margin, -margin);
}

/**
 * Put the map into an element.
 *
 * @param el    element to fill; it needs a height, and hears the keys
 * @param host  points: Float32Array x0 y0 x1 y1 ...; sound(i): Blob of segment i; table: title,
 *              about, colors, labels, codes (-1: no label), titles, start_s, end_s
 * @returns     place(i): where point i stands in the canvas, in CSS pixels
 */
export function mount(el, { points, table, sound }) {
  const ui = furnish(el, table);
  const at = camera(points);
  const pen = ui.points.getContext("2d");
  const marks = ui.marks.getContext("2d");
  const radius = Math.min(Math.max(130 / Math.sqrt(table.codes.length), 2.2), 7);
  let stamps = [];
  let width = 0;
  let height = 0;
  let frame = 0;
  let chosen = -1;
  let hovered = -1;

  /** Find the point of least cost; among equals the one on top. */
  const cheapest = (cost) => {
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < table.codes.length; i++) {
      const c = cost(i);
      if (c <= least && c < Infinity) [best, least] = [i, c];
    }
    return best;
  };

  const under = (x, y) => {
    const reach = (gesture.type === "touch" ? 24 : 10) ** 2;
    return cheapest((i) => {
      const dx = points[2 * i] * at.scale + at.x - x;
      const dy = at.y - points[2 * i + 1] * at.scale - y;
      const far = dx * dx + dy * dy;
      return far < reach ? far : Infinity;
    });
  };

  /** Find the neighbour in a direction; points at the very same place follow each other. */
  const neighbour = ([right, up]) => cheapest((i) => {
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

  const describe = (i) => {
    const code = table.codes[i];
    const label = code < 0 ? "" : ` \u00b7 ${table.labels[code]}`;
    return `${clock(table.start_s[i])}\u2013${clock(table.end_s[i])}${label}`;
  };

  /** Paint a point again above the others, in a ring. */
  const ring = (i, size) => {
    const [x, y] = at.place(i);
    const color = (name) => getComputedStyle(ui.root).getPropertyValue(name);
    marks.beginPath();
    marks.arc(x, y, size, 0, 2 * Math.PI);
    marks.fillStyle = color("--ground");
    marks.strokeStyle = color("--ink");
    marks.lineWidth = 2;
    marks.fill();
    marks.stroke();
    const { node, size: side } = stamps[table.codes[i] + 1];
    const span = side / devicePixelRatio;
    marks.drawImage(node, x - span / 2, y - span / 2, span, span);
  };

  const mark = () => {
    marks.clearRect(0, 0, width, height);
    if (hovered >= 0 && hovered !== chosen) ring(hovered, radius + 3);
    if (chosen >= 0) ring(chosen, radius + 5);
  };

  const draw = () => {
    frame = 0;
    paint(pen, at, points, table.codes, stamps);
    ui.whole.hidden = at.fitted;
    mark();
  };
  const refresh = () => {
    hover(-1);
    frame ||= requestAnimationFrame(draw);
  };

  const hover = (i) => {
    if (i === hovered) return;
    hovered = i;
    ui.points.classList.toggle("over", i >= 0);
    ui.tip.hidden = i < 0;
    if (i >= 0) {
      const [x, y] = at.place(i);
      ui.tip.replaceChildren();
      add(ui.tip, "div", "title", table.titles[i]);
      add(ui.tip, "div", "about", describe(i));
      const left = Math.max(4, Math.min(x + 14, width - ui.tip.offsetWidth - 4));
      const below = y + 14 + ui.tip.offsetHeight < height;
      ui.tip.style.left = `${left}px`;
      ui.tip.style.top = `${below ? y + 14 : y - 14 - ui.tip.offsetHeight}px`;
    }
    mark();
  };

  const choose = (i) => {
    if (i < 0 || i === chosen) return;
    const old = ui.audio.src;
    chosen = i;
    ui.audio.src = URL.createObjectURL(sound(i));
    ui.audio.dataset.index = i;
    URL.revokeObjectURL(old);
    ui.title.textContent = ui.title.title = table.titles[i];
    ui.about.textContent = describe(i);
    const [x, y] = at.place(i);
    if (x < 0 || y < 0 || x > width || y > height) {
      at.move(width / 2 - x, height / 2 - y);
      refresh();
    }
    mark();
  };

  /** Start the sound; a start that the next click replaced is no error. */
  const start = () => ui.audio.play().catch((error) => {
    if (error.name === "AbortError") return;
    ui.about.textContent = `This sound does not play: ${error.message}`;
  });

  const resize = () => {
    const [before, tall] = [width, height];
    ({ clientWidth: width, clientHeight: height } = ui.plot);
    for (const canvas of [ui.points, ui.marks]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
    }
    marks.scale(devicePixelRatio, devicePixelRatio);
    if (at.fitted) at.whole(width, height);
    else at.move((width - before) / 2, (height - tall) / 2);
    dress(); // the pixel ratio may be another
    refresh();
  };

  const dress = () => {
    const edge = getComputedStyle(ui.root).getPropertyValue("--edge");
    const make = (code, size) => stamp(code, table.colors, edge, size * devicePixelRatio);
    const codes = [-1, ...table.labels.keys()];
    stamps = codes.map((code) => make(code, radius));
    ui.legend.replaceChildren();
    for (const code of table.labels.length ? [...codes.slice(1), -1] : []) {
      if (code < 0 && !table.codes.includes(-1)) continue;
      const { node, size } = make(code, 5);
      node.style.width = `${size / devicePixelRatio}px`;
      add(ui.legend, "li").append(node, code < 0 ? "no label" : table.labels[code]);
    }
  };

  const gesture = gestures(ui.points, at, refresh);
  ui.points.addEventListener("pointermove", (event) => {
    if (!event.buttons && event.pointerType !== "touch") hover(under(event.offsetX, event.offsetY));
  });
  ui.points.addEventListener("pointerleave", () => hover(-1));
  ui.points.addEventListener("click", (event) => {
    const i = gesture.dragged ? -1 : under(event.offsetX, event.offsetY);
    if (i < 0) return;
    choose(i);
    ui.audio.currentTime = 0; // the same point again: from the start
    start();
  });
  ui.whole.addEventListener("click", () => {
    at.whole(width, height);
    refresh();
  });
  el.addEventListener("keydown", (event) => {
    const space = event.key === " ";
    const busy = event.ctrlKey || event.metaKey || event.altKey || event.target.closest("audio, button");
    if (busy || !(space || event.key in KEYS)) return;
    event.preventDefault();
    const playing = !ui.audio.paused;
    if (chosen < 0) choose(central());
    else if (!space) choose(neighbour(KEYS[event.key]));
    if (space && playing) ui.audio.pause();
    else if (space || playing) start();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", resize);
  dress(); // before the plot is measured: the legend takes room
  new ResizeObserver(resize).observe(ui.plot);
  return { place: at.place };
}
