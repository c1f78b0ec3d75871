const numbers = (Type, name) => new Type(bytes(text(name)).buffer);
const hosts = ["", "_beside"].map((end) => ({
  points: numbers(Float32Array, `points${end}`),
  near: numbers(Int32Array, `near${end}`),
  table: end ? { ...table, ...table.beside } : table,
  sound,
  picture,
}));
document.body.explorer = mountPair(document.body, hosts);
