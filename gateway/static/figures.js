// Numbers as people read them, never apart from their unit.

const UNITS = ['bytes', 'kB', 'MB', 'GB'];

/** `count` bytes, as "482 kB". */
export function bytes(count) {
  const step = Math.min(Math.floor(Math.log10(Math.max(count, 1)) / 3), UNITS.length - 1);
  const value = count / 1000 ** step;
  return `${step && value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0${UNITS[step]}`;
}

/** Width and height, as "600 × 400". */
export function dimensions(width, height) {
  return `${width} × ${height}`;
}

/** `value` seconds, as "0.42 s", "8.1 s" or "2 min 5 s". */
export function seconds(value) {
  if (value >= 60) return `${Math.floor(value / 60)}\u00a0min ${Math.floor(value % 60)}\u00a0s`;
  return `${value.toFixed(value < 1 ? 2 : 1)}\u00a0s`;
}
