// Canvases: the kernel with its Diracs, curves, colours of the system's theme.

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const CURVES = ['#1b6ac9', '#c2571a', '#2a8f4e', '#8e44ad', '#b8860b', '#c0396b', '#2c8fa3', '#777777'];

// From black over red to pale, as the figures have it; and blue, white, red about zero.
const MAGMA = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];
export function magma(x) {
  const place = Math.min(3.999, 4 * Math.max(0, x)), i = Math.floor(place), part = place - i;
  return MAGMA[i].map((low, c) => low + part * (MAGMA[i + 1][c] - low));
}
function diverging(x) {
  const ends = x < 0 ? [5, 48, 97] : [103, 0, 31], a = Math.min(1, Math.abs(x));
  return ends.map((end) => 247 + a * (end - 247));
}

export function kernelPanel(canvas, parts, signed) {
  const { density, diracs, extent } = parts, x = canvas.getContext('2d'), [w, h] = [canvas.width, canvas.height];
  x.clearRect(0, 0, w, h);
  if (density.shape.length === 2) {
    const [rows, columns] = density.shape, small = new OffscreenCanvas(columns, rows), image = new ImageData(columns, rows);
    density.values.forEach((value, i) => { image.data.set([...(signed ? diverging(value) : magma(Math.max(0, value))), 255], 4 * i); });
    small.getContext('2d').putImageData(image, 0, 0);
    // The longer side fills the canvas.
    const scale = Math.max(...extent.values), dw = w * extent.values[1] / scale, dh = h * extent.values[0] / scale;
    x.drawImage(small, (w - dw) / 2, (h - dh) / 2, dw, dh);
    for (let k = diracs.shape[0] - 1; k >= 0; k--) {
      const [row, column, weight] = diracs.values.subarray(3 * k, 3 * k + 3);
      dirac(x, w / 2 + column * dw / 2, h / 2 + row * dh / 2, weight, diracs.shape[0]);
    }
    return;
  }
  const top = h * .58, low = Math.min(0, ...density.values), place = (v) => top - (v - low) / (1 - low) * (top - 20);
  x.strokeStyle = colour('--line'); x.lineWidth = 1;
  for (const y of [place(0), h * .8]) { x.beginPath(); x.moveTo(0, y); x.lineTo(w, y); x.stroke(); }
  x.strokeStyle = colour('--accent'); x.lineWidth = 3; x.beginPath();
  density.values.forEach((value, i) => x.lineTo(i / (density.values.length - 1) * w, place(value)));
  x.stroke();
  for (let k = 0; k < diracs.shape[0]; k++) {
    const [, column, weight] = diracs.values.subarray(3 * k, 3 * k + 3), at = w / 2 + column * w / 2, end = h * .8 - weight * h * .17;
    x.strokeStyle = weight > 0 ? '#d7301f' : '#3b8bff'; x.lineWidth = 2;
    x.beginPath(); x.moveTo(at, h * .8); x.lineTo(at, end); x.stroke();
    dirac(x, at, end, weight, 60);
  }
}

function dirac(x, column, row, weight, count) {
  x.fillStyle = weight > 0 ? '#ff4d3a' : '#4aa3ff';
  x.beginPath();
  x.arc(column, row, (count > 800 ? .8 : 1.5) + Math.min(7, 90 / Math.sqrt(count)) * Math.sqrt(Math.abs(weight)), 0, 7);
  x.fill();
}

// Curves [T, c] in a row each; `behind` are drawn grey behind them, on the same scale.
export function curves(canvas, part, names, behind, unit) {
  const [count, columns] = part.shape, x = canvas.getContext('2d');
  canvas.width = 1000; canvas.height = Math.max(210, Math.min(960, 190 * columns) + 36);
  const height = (canvas.height - 36) / columns;
  x.font = '28px system-ui, sans-serif'; x.lineJoin = 'round';
  for (let c = 0; c < columns; c++) {
    let [low, high] = [Infinity, -Infinity];
    for (const some of behind ? [part, behind] : [part]) for (let i = c; i < some.values.length; i += columns) { low = Math.min(low, some.values[i]); high = Math.max(high, some.values[i]); }
    const line = (some, style, width) => {
      x.strokeStyle = style; x.lineWidth = width; x.beginPath();
      const n = some.shape[0];
      for (let i = 0; i < n; i++) x.lineTo(i / Math.max(1, n - 1) * canvas.width, c * height + height * .94 - (some.values[i * columns + c] - low) / ((high - low) || 1) * height * .72);
      x.stroke();
    };
    if (behind) line(behind, colour('--line'), 3);
    line(part, CURVES[c % CURVES.length], 2);
    x.fillStyle = colour('--soft');
    x.fillText(names?.[c] ?? '', 8, c * height + 28);
    x.textAlign = 'right'; x.fillText(`${low.toPrecision(3)} … ${high.toPrecision(3)}`, canvas.width - 8, c * height + 28); x.textAlign = 'left';
  }
  x.fillStyle = colour('--soft');
  if (unit) x.fillText(unit, 8, canvas.height - 8);
}

// Least and largest per column [n, 2] as a filled wave, in its own range.
export function wave(canvas, part) {
  const x = canvas.getContext('2d'), n = part.shape[0], middle = canvas.height / 2;
  x.clearRect(0, 0, canvas.width, canvas.height);
  const size = part.values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
  x.fillStyle = colour('--accent');
  for (let i = 0; i < n; i++) {
    const low = part.values[2 * i] / size, high = part.values[2 * i + 1] / size;
    x.fillRect(i / n * canvas.width, middle - high * middle * .95, canvas.width / n + .5, Math.max(1.5, (high - low) * middle * .95));
  }
}
