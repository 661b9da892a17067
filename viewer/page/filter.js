// A separable field's tables read through Diracs in the browser, and what the picture's exact convolution is.

// Lagrange weights of the nodes 0 ... count - 1 at `place`, into `out`.
function lagrange(place, count, out) {
  for (let k = 0; k < count; k++) {
    out[k] = 1;
    for (let o = 0; o < count; o++) if (o !== k) out[k] *= (place - o) / (k - o);
  }
}

function numbers(text, Type) {
  return new Type(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

// The data of viewer/static.py with its numbers as arrays.
export function unpacked(data) {
  const fit = ({ positions, weights }) => ({
    positions: positions.map((text) => numbers(text, Float64Array)),
    weights: weights.map((pair) => pair.map((text) => numbers(text, Float64Array))),
  });
  const kernels = Object.entries(data.kernels).map(([name, kernel]) => [name, { ...kernel, fits: kernel.fits.map(fit) }]);
  return { ...data, axes: data.axes.map((text) => numbers(text, Float32Array)), core: numbers(data.core, Float32Array), kernels: Object.fromEntries(kernels) };
}

// The Diracs of a kernel turned by whole steps: kernels that are fitted from 0 to 45 degrees are mirrored and transposed.
export function turned(kernel, degrees, n) {
  if (kernel.fits.length === 1) return kernel.fits[0];
  const half = degrees > 90 ? 180 - degrees : degrees, swap = half > 45;
  const fit = kernel.fits[Math.round((swap ? 90 - half : half) / kernel.step)], transposed = (pair) => (swap ? [pair[1], pair[0]] : pair);
  const [rows, columns] = transposed(fit.positions), weights = fit.weights.map(transposed);
  if (degrees <= 90) return { positions: [rows, columns], weights };
  const sign = n % 2 ? -1 : 1;
  return { positions: [rows, columns.map((t) => -t)], weights: weights.map(([a, b]) => [a, b.map((w) => sign * w)]) };
}

// Factors of one axis seen through the Diracs of every product at `count` places, [count * rank] each: float64 sums, as
// large weights cancel.
function seen(data, axis, { positions, weights }, size, count) {
  const table = data.axes[axis], rank = data.ranks[axis], t = positions[axis], last = table.length / rank - 8, over = size ** data.n;
  const out = weights.map(() => new Float64Array(count * rank)), row = new Float64Array(rank), local = new Float64Array(8);
  for (let m = 0; m < count; m++) {
    const x = count > 1 ? -1 + 2 * m / (count - 1) : 0;
    for (let j = 0; j < t.length; j++) {
      const place = (x - size * t[j] - data.start) / data.step, first = Math.max(0, Math.min(last, Math.floor(place) - 3));
      row.fill(0);
      lagrange(place - first, 8, local);
      for (let i = 0; i < 8; i++) for (let r = 0, at = (first + i) * rank; r < rank; r++) row[r] += local[i] * table[at + r];
      for (let k = 0; k < out.length; k++) {
        const weight = weights[k][axis][j] / over;
        if (weight) for (let r = 0, at = m * rank; r < rank; r++) out[k][at + r] += weight * row[r];
      }
    }
  }
  return out.map((values) => Float32Array.from(values));
}

// Sum over products of A core B, [H * W * channels].
function multiplied(data, A, B, H, W) {
  const [R, Q] = data.ranks, c = data.channels, out = new Float32Array(H * W * c), line = new Float32Array(Q * c), sum = new Float32Array(c);
  for (let k = 0; k < A.length; k++) for (let y = 0; y < H; y++) {
    line.fill(0);
    for (let r = 0; r < R; r++) for (let q = 0, a = A[k][y * R + r], from = r * Q * c; q < Q * c; q++) line[q] += a * data.core[from + q];
    for (let x = 0; x < W; x++) {
      sum.fill(0);
      for (let q = 0, b = x * Q; q < Q; q++) for (let i = 0; i < c; i++) sum[i] += B[k][b + q] * line[q * c + i];
      for (let i = 0; i < c; i++) out[(y * W + x) * c + i] += sum[i];
    }
  }
  return out;
}

// The same on the graphics card: rows times core, that times columns, products added by blending.
class Card {
  constructor(data) {
    this.data = data;
    this.gl = new OffscreenCanvas(1, 1).getContext('webgl2');
    if (!this.gl?.getExtension('EXT_color_buffer_float') || !this.gl.getExtension('EXT_float_blend')) throw Error('no WebGL for sums of floats');
    const [R, Q] = data.ranks, c = data.channels, core = new Float32Array(R * Q * 4);
    for (let i = 0; i < R * Q; i++) for (let j = 0; j < c; j++) core[4 * i + j] = data.core[i * c + j];
    this.core = this.texture(Q, R, this.gl.RGBA32F, core);
    this.programs = ['a,ivec2(r,i.y)|b,ivec2(i.x,r)', 'a,ivec2(r,i.x)|b,ivec2(r,i.y)'].map((text) => this.program(...text.split('|')));
  }

  program(one, other) {
    const gl = this.gl, made = gl.createProgram();
    const corners = '#version 300 es\nvoid main(){gl_Position=vec4(gl_VertexID==1?3:-1,gl_VertexID==2?3:-1,0,1);}';
    const sum = `#version 300 es\nprecision highp float;precision highp sampler2D;uniform sampler2D a,b;uniform int n;out vec4 o;void main(){ivec2 i=ivec2(gl_FragCoord.xy);o=vec4(0);for(int r=0;r<n;r++)o+=texelFetch(${one},0).r*texelFetch(${other},0);}`;
    for (const [kind, text] of [[gl.VERTEX_SHADER, corners], [gl.FRAGMENT_SHADER, sum]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text); gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw Error(gl.getShaderInfoLog(shader));
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    return made;
  }

  texture(width, height, format, values) {
    const gl = this.gl, made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    gl.texImage2D(gl.TEXTURE_2D, 0, format, width, height, 0, format === gl.R32F ? gl.RED : gl.RGBA, gl.FLOAT, values);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    return made;
  }

  target(made) {
    const gl = this.gl, frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, made, 0);
    return frame;
  }

  pass(program, frame, width, height, textures, n) {
    const gl = this.gl;
    gl.useProgram(program); gl.bindFramebuffer(gl.FRAMEBUFFER, frame); gl.viewport(0, 0, width, height);
    textures.forEach((made, i) => { gl.activeTexture(gl.TEXTURE0 + i); gl.bindTexture(gl.TEXTURE_2D, made); gl.uniform1i(gl.getUniformLocation(program, 'ab'[i]), i); });
    gl.uniform1i(gl.getUniformLocation(program, 'n'), n);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  multiplied(A, B, H, W) {
    const gl = this.gl, [R, Q] = this.data.ranks, c = this.data.channels;
    const middle = this.texture(Q, H, gl.RGBA32F, null), result = this.texture(W, H, gl.RGBA32F, null), made = [middle, result];
    const [into, sum] = [this.target(middle), this.target(result)];
    gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT); gl.blendFunc(gl.ONE, gl.ONE);
    A.forEach((part, k) => {
      const a = this.texture(R, H, gl.R32F, part), b = this.texture(Q, W, gl.R32F, B[k]);
      made.push(a, b);
      gl.disable(gl.BLEND); this.pass(this.programs[0], into, Q, H, [a, this.core], R);
      gl.enable(gl.BLEND); this.pass(this.programs[1], sum, W, H, [b, middle], Q);
    });
    const values = new Float32Array(H * W * 4), out = new Float32Array(H * W * c);
    gl.readPixels(0, 0, W, H, gl.RGBA, gl.FLOAT, values);
    made.forEach((one) => gl.deleteTexture(one)); gl.deleteFramebuffer(into); gl.deleteFramebuffer(sum);
    for (let i = 0; i < H * W; i++) for (let j = 0; j < c; j++) out[i * c + j] = values[4 * i + j];
    return out;
  }
}

// What filters: `filter(fit, size, [H, W], terms, pause)` -> values [H * W * channels] of the first products, some at a
// time; null where `pause` says no in between. On the graphics card where it can.
const AT_ONCE = 2;
export function filterOf(data) {
  let made = null;
  try { made = new Card(data); } catch { /* in JavaScript then */ }
  const way = made ? 'WebGL' : 'JavaScript';
  async function filter({ positions, weights }, size, [H, W], terms = weights.length, pause = () => true) {
    let sum = null;
    for (let k = 0; k < terms; k += AT_ONCE) {
      const some = { positions, weights: weights.slice(k, Math.min(terms, k + AT_ONCE)) };
      const A = seen(data, 0, some, size, H), B = seen(data, 1, some, size, W);
      const part = made ? made.multiplied(A, B, H, W) : multiplied(data, A, B, H, W);
      if (sum) part.forEach((value, i) => { sum[i] += value; });
      sum ??= part;
      if (!await pause()) return null;
    }
    return sum;
  }
  return { filter, way };
}

// A kernel that grows from `least` to `most` of its size away from where one looks: filters of SIZES sizes, kept, are
// blended (viewer/foveation.py).
const SIZES = 8, BLENDED = 4;
export async function bank(filter, fit, size, shape, [least, most], terms, pause) {
  const found = [];
  for (let k = 0; k < SIZES; k++) {
    found.push(await filter(fit, size * least * (most / least) ** (k / (SIZES - 1)), shape, terms, pause));
    if (!found[k]) return null;
  }
  return found;
}
export function blended(values, [H, W], [row, column], [least, most]) {
  const channels = values[0].length / (H * W), out = new Float32Array(values[0].length), share = new Float64Array(BLENDED);
  const far = Math.hypot(1 + Math.abs(row), 1 + Math.abs(column)), span = Math.log(most / least) || 1;
  for (let y = 0; y < H; y++) for (let x = 0; x < W; x++) {
    const distance = Math.hypot(-1 + 2 * y / (H - 1) - row, -1 + 2 * x / (W - 1) - column) / far;
    const place = (SIZES - 1) * Math.log((least + (most - least) * distance) / least) / span, first = Math.max(0, Math.min(SIZES - BLENDED, Math.floor(place) - 1));
    lagrange(place - first, BLENDED, share);
    for (let k = 0; k < BLENDED; k++) for (let i = 0, at = (y * W + x) * channels; i < channels; i++) out[at + i] += share[k] * values[first + k][at + i];
  }
  return out;
}

function ramp(x, power) {
  let value = x > 0 ? 1 : 0;
  for (let k = 1; k <= power; k++) value *= x / k;
  return value;
}

// One axis of a product as a filter of the samples, `step` apart, with linear interpolation between them: hat * ramp^p is
// a second difference of ramp^(p + 2) (signals/exact.py).
function taps(t, weights, size, n, step) {
  const reach = Math.ceil(size * t.reduce((a, b) => Math.max(a, Math.abs(b)), 0) / step - 1e-9) + 1, out = new Float64Array(2 * reach + 1);
  t.forEach((place, k) => {
    const weight = weights[k] / size ** n / step;
    if (weight) for (let m = -reach; m <= reach; m++) {
      const y = m * step - size * place;
      out[m + reach] += weight * (ramp(y + step, n + 1) - 2 * ramp(y, n + 1) + ramp(y - step, n + 1));
    }
  });
  return out;
}

// The exact convolution of samples [H * W * channels], which go on as at the border, at the rows and columns given; waits
// between products for `pause`, and gives null where that says no.
export async function exact(samples, channels, [H, W], { positions, weights }, size, n, rows, columns, pause) {
  const out = new Float64Array(rows.length * columns.length * channels), line = new Float64Array(W * channels);
  const clamped = (i, count) => Math.max(0, Math.min(count - 1, i));
  for (const [down, across] of weights) {
    const a = taps(positions[0], down, size, n, 2 / (H - 1)), b = taps(positions[1], across, size, n, 2 / (W - 1)), [r, s] = [a.length >> 1, b.length >> 1];
    for (let i = 0; i < rows.length; i++) {
      line.fill(0);
      for (let m = -r; m <= r; m++) for (let x = 0, from = clamped(rows[i] - m, H) * W * channels, w = a[m + r]; x < W * channels; x++) line[x] += w * samples[from + x];
      for (let j = 0; j < columns.length; j++) for (let m = -s; m <= s; m++) {
        for (let c = 0, from = clamped(columns[j] - m, W) * channels, at = (i * columns.length + j) * channels, w = b[m + s]; c < channels; c++) out[at + c] += w * line[from + c];
      }
    }
    if (!await pause()) return null;
  }
  return out;
}

// What kernelPanel draws (viewer/kernelpanel.py): the density of a sum of products, its Diracs, and how far it reaches.
export function kernelParts({ positions, weights }, size, n, most = 4000) {
  const radius = positions.map((t) => t.reduce((a, b) => Math.max(a, Math.abs(b)), 0)), side = 129, beyond = 1.1, values = new Float32Array(side * side);
  const density = (t, w, r) => Float64Array.from({ length: side }, (_, i) => t.reduce((sum, place, k) => sum + w[k] * ramp(beyond * r * (2 * i / (side - 1) - 1) - place, n - 1), 0));
  for (const pair of weights) {
    const [down, across] = pair.map((w, axis) => density(positions[axis], w, radius[axis]));
    for (let i = 0; i < side; i++) for (let j = 0; j < side; j++) values[i * side + j] += down[i] * across[j];
  }
  const peak = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-30), grid = [];
  positions[0].forEach((row, i) => positions[1].forEach((column, j) => grid.push([row / beyond / radius[0], column / beyond / radius[1], weights.reduce((sum, [a, b]) => sum + a[i] * b[j], 0)])));
  grid.sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]));
  const largest = Math.abs(grid[0][2]), drawn = grid.slice(0, most).filter(([, , w]) => Math.abs(w) > 2e-3 * largest);
  return {
    density: { values: values.map((v) => v / peak), shape: [side, side] },
    diracs: { values: Float32Array.from(drawn.flatMap(([r, c, w]) => [r, c, w / largest])), shape: [drawn.length, 3] },
    extent: { values: radius.map((r) => beyond * r * size) },
  };
}
