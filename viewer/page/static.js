// The page without a server: drafts while dragging, and at rest the result as it is, its kernel and its error.

import { element, slider } from './controls.js';
import { kernelPanel, magma } from './draw.js';
import { latest } from './net.js';
import { bank, blended, exact, filterOf, kernelParts, turned, unpacked } from './filter.js';

const GAIN = 4; // of values that may be negative, about grey
const WAIT = 220, SLOW = 120; // milliseconds without a change, and of a draft that is coarser the next time

async function start(packed) {
  const $ = (id) => document.getElementById(id), data = unpacked(packed), { filter, way } = filterOf(data);
  const look = [-.5, -.1], values = { radius: Math.min(2 * data.smallest, data.largest), angle: 0 };
  const sizes = [data.least, data.most], kept = { draft: {}, rest: {} };
  let coarser = 1, timer = 0, selections = 0;
  const kernel = () => data.kernels[$('kernel').value];
  const fit = (one = kernel(), angle = values.angle) => turned(one, angle, data.n);
  const said = () => [$('kernel').value, values.radius, kernel().fits.length > 1 ? values.angle : 0, $('fovea').checked && look.map((v) => v.toFixed(2))].join(' ');

  // The filtered values on a grid; of a foveated kernel those of its sizes are kept until it is another one.
  async function result(what, shape, terms, pause) {
    const size = values.radius / kernel().radius, key = [$('kernel').value, size, values.angle, shape].join(' ');
    if (!$('fovea').checked) return filter(fit(), size, shape, terms, pause);
    if (kept[what].key !== key) {
      const found = await bank(filter, fit(), size, shape, sizes, terms, pause);
      if (!found) return null;
      kept[what] = { key, found };
    }
    return blended(kept[what].found, shape, look, sizes);
  }

  function show(canvas, found, [H, W], colour) {
    const image = new ImageData(W, H);
    for (let i = 0; i < H * W; i++) image.data.set([...colour(found, i), 255], 4 * i);
    [canvas.width, canvas.height] = [W, H];
    canvas.getContext('2d').putImageData(image, 0, 0);
  }
  const at = data.channels === 3 ? [0, 1, 2] : [0, 0, 0];
  const plain = (found, i) => at.map((c) => 255 * found[i * data.channels + c]);
  const signed = (found, i) => at.map((c) => 255 * (.5 + GAIN * found[i * data.channels + c]));

  async function draw(draft, pause) {
    const from = performance.now(), shape = draft ? data.shape.map((n) => Math.max(2, Math.ceil(n / coarser))) : data.shape;
    const asked = said(), found = await result(draft ? 'draft' : 'rest', shape, draft ? kernel().draft : undefined, pause);
    if (!found) return null;
    show($('picture'), found, shape, kernel().signed ? signed : plain);
    const ms = performance.now() - from;
    if (draft) coarser = ms > SLOW ? Math.min(8, 2 * coarser) : ms < SLOW / 8 ? Math.max(1, coarser / 2) : coarser;
    $('time').textContent = `${Math.round(ms)} ms (${way}), ${kernel().diracs} Diracs, ${shape.join(' × ')}${draft ? ', draft' : ''}`;
    $('result').dataset[draft ? 'draft' : 'rest'] = asked;
    return found;
  }

  const samples = data.picture && await pixels();
  async function pixels() {
    const image = element('img', { className: 'pixels', alt: 'signal' }), [H, W] = data.shape;
    image.src = `data:image/png;base64,${data.picture}`;
    await image.decode();
    $('signal').querySelector('.stage').replaceChildren(image);
    $('signal').hidden = $('error').hidden = false;
    const context = new OffscreenCanvas(W, H).getContext('2d');
    context.drawImage(image, 0, 0);
    const found = context.getImageData(0, 0, W, H).data;
    return Float32Array.from({ length: H * W * data.channels }, (_, i) => found[4 * Math.floor(i / data.channels) + i % data.channels] / 255);
  }

  // Against the picture itself under the same Diracs, at some rows and columns.
  async function compare(found, pause) {
    const [H, W] = data.shape, terms = fit().weights.length, skip = Math.ceil(Math.max(H, W) / (terms > 4 ? 64 : 128));
    if ($('fovea').checked) { $('told').textContent = 'compared where the kernel is the same everywhere'; return; }
    const [rows, columns] = [H, W].map((n) => Array.from({ length: Math.ceil(n / skip) }, (_, i) => i * skip));
    const truth = await exact(samples, data.channels, data.shape, fit(), values.radius / kernel().radius, data.n, rows, columns, pause);
    if (!truth) return;
    const own = rows.flatMap((y) => columns.map((x) => (y * W + x) * data.channels)), error = new Float64Array(own.length);
    let [sum, low, high] = [0, Infinity, -Infinity];
    own.forEach((place, i) => {
      for (let c = 0; c < data.channels; c++) {
        const value = truth[i * data.channels + c], apart = found[place + c] - value;
        sum += apart ** 2; error[i] += Math.abs(apart) / data.channels;
        low = Math.min(low, value); high = Math.max(high, value);
      }
    });
    // The peak of signals.measures.peak.
    const peak = low >= -1e-3 && high <= 1 + 1e-3 ? 1 : high - low || 1, largest = error.reduce((a, b) => Math.max(a, b), 1e-30);
    show($('apart'), error, [rows.length, columns.length], (_, i) => magma(error[i] / largest));
    $('apart').classList.remove('old');
    $('told').textContent = `${(10 * Math.log10(peak ** 2 * truth.length / sum)).toFixed(1)} dB PSNR at ${rows.length} × ${columns.length} pixels, at most ${largest.toPrecision(2)}`;
    $('error').dataset.rest = said();
  }

  async function rest() {
    const number = selections, one = fit(), pause = () => new Promise((done) => setTimeout(() => done(number === selections)));
    const found = await draw(false, pause);
    if (!found) return;
    kernelPanel($('drawn'), kernelParts(one, values.radius / kernel().radius, data.n), kernel().signed);
    $('diracs').textContent = `${kernel().diracs} Diracs (red +, blue −), radius ${values.radius.toPrecision(3)}, ${one.weights.length > 1 ? `a sum of ${one.weights.length} products` : 'a product'}`;
    if (samples) await compare(found, pause);
  }

  function changed() {
    selections++;
    $('apart').classList.add('old');
    clearTimeout(timer);
    timer = setTimeout(rest, WAIT);
    drag(true);
  }
  const drag = latest(async () => { await new Promise(requestAnimationFrame); await draw(true); }, (error) => { throw error; });

  function chosen() {
    const set = (name, value) => {
      const { least, most, step } = controls.find((one) => one.name === name), typed = Math.max(least, Math.min(most, Number(value)));
      values[name] = name === 'angle' ? step * Math.round(typed / step) : typed;
      changed();
    };
    const controls = [{ name: 'radius', help: 'how far the kernel reaches, in domain units', least: data.smallest, most: data.largest, step: .002, unit: data.unit }];
    if (kernel().fits.length > 1) controls.push({ name: 'angle', help: 'degrees counter-clockwise from the direction of the columns', least: 0, most: 180, step: kernel().step, unit: ['°', 1] });
    $('sliders').replaceChildren(...controls.map((control) => slider({ ...control, value: Number(values[control.name].toFixed(3)) }, set)));
    changed();
  }

  function lookAt(row, column) {
    if (!$('fovea').checked) return;
    [look[0], look[1]] = [row, column].map((v) => Math.max(-1, Math.min(1, v)));
    changed();
  }
  const pointed = (event) => {
    const box = $('picture').getBoundingClientRect();
    lookAt(2 * (event.clientY - box.top) / box.height - 1, 2 * (event.clientX - box.left) / box.width - 1);
  };

  for (const name in data.kernels) $('kernel').add(new Option(name));
  $('kernel').addEventListener('change', chosen);
  $('fovea').addEventListener('change', () => { $('picture').tabIndex = $('fovea').checked ? 0 : -1; $('result').querySelector('.stage').classList.toggle('pick', $('fovea').checked); changed(); });
  $('picture').addEventListener('pointerdown', pointed);
  $('picture').addEventListener('pointermove', (event) => { if (event.buttons) pointed(event); });
  $('picture').addEventListener('keydown', (event) => {
    const by = { ArrowLeft: [0, -.1], ArrowRight: [0, .1], ArrowUp: [-.1, 0], ArrowDown: [.1, 0] }[event.key];
    if (by) { event.preventDefault(); lookAt(look[0] + by[0], look[1] + by[1]); }
  });
  $('save').addEventListener('click', async () => { await draw(false); $('picture').toBlob((blob) => element('a', { href: URL.createObjectURL(blob), download: 'output.png' }).click()); });
  // For those who measure: values of a kernel of a radius, and sharp at a place where one is given.
  window.filtered = (name, radius, angle = 0, shape = data.shape) => filter(fit(data.kernels[name], angle), radius / data.kernels[name].radius, shape);
  window.foveated = async (name, radius, place, shape) => blended(await bank(filter, fit(data.kernels[name], 0), radius / data.kernels[name].radius, shape, sizes), shape, place, sizes);
  chosen();
}
