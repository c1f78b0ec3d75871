const near = new Int32Array(bytes(text("near")).buffer);
const points = new Float32Array(bytes(text("points")).buffer);
const host = { points, near: near.length ? near : null, table, sound, picture, on: {} };
document.body.explorer = mount(document.body, host);
