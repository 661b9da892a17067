// Kernels that vary over the picture: a click says where one looks, a stroke paints Gaussians along itself.

import { give } from './net.js';
import { element, slider } from './controls.js';

const SIDE = 64;

// Places of a pointer on the shown picture, in the image's own box: column and row in [0, 1].
function place(event, image) {
  const box = image.getBoundingClientRect(), aspect = image.naturalWidth / image.naturalHeight;
  // object-fit: contain leaves bars on two sides.
  const width = Math.min(box.width, box.height * aspect), height = width / aspect;
  const x = (event.clientX - box.left - (box.width - width) / 2) / width, y = (event.clientY - box.top - (box.height - height) / 2) / height;
  return [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
}

export class Varying {
  constructor(stage, state, changed) {
    this.stage = stage; this.state = state; this.changed = changed;
    this.kind = 'fixed'; this.words = { row: '-0.5', column: '-0.1', least: '0.17', most: '1' };
    this.brush = { width: 0.3, along: Math.min(.05, state.largest / 4), ratio: 3 };
    this.map = new Float32Array(SIDE * SIDE * 3);
    this.clear();
    stage.onpointerdown = (event) => this.pressed(event);
    stage.onpointermove = (event) => this.moved(event);
    stage.onkeydown = (event) => this.key(event);
    this.controls();
  }

  controls() {
    const range = (name, value, least, most) => slider({ name, least, most, step: .01, value, unit: ['of its size', 1], label: name === 'least' ? 'where you look' : 'far from there', help: 'size of the kernel' }, (key, typed) => { this.words[key] = String(typed); this.changed(); });
    document.getElementById('fovea').replaceChildren(range('least', .17, .05, 1), range('most', 1, .1, 1), element('p', { className: 'hint' }, 'Click the filtered picture, or focus it and use the arrows.'));
    const brush = (name, least, most, step, value, label, unit) => slider({ name, least, most, step, value, label, unit }, (key, typed) => { this.brush[key] = Number(typed); });
    const clear = element('button', { type: 'button' }, 'Clear');
    clear.addEventListener('click', () => { this.clear(); this.send(); });
    document.getElementById('brush').replaceChildren(
      brush('along', .01, Number((this.state.largest / 4).toFixed(3)), .001, this.brush.along.toFixed(3), 'sigma along the stroke', this.state.unit),
      brush('ratio', 1, 6, .1, this.brush.ratio, 'along over across'), brush('width', .1, 1, .01, this.brush.width, 'width of the brush', ['of the picture', 2]), clear,
      element('p', { className: 'hint' }, 'Draw on the filtered picture: it is blurred along the stroke.'));
  }

  choose(kind) {
    this.kind = kind;
    this.stage.classList.toggle('pick', kind !== 'fixed');
    this.stage.tabIndex = kind === 'fovea' ? 0 : -1;
    this.stage.role = 'group';
    this.stage.ariaLabel = kind === 'fovea' ? 'filtered: arrows move where you look' : 'filtered';
    if (kind === 'brush') this.send(); else this.changed();
  }

  // What a query says of it.
  query() {
    if (this.kind === 'fixed') return {};
    if (this.kind === 'brush') return { vary: 'brush', map: this.name ?? '' };
    return { vary: 'fovea', ...this.words };
  }

  pressed(event) {
    const image = this.stage.querySelector('img');
    if (this.kind === 'fixed' || !image) return;
    event.preventDefault();
    this.stage.setPointerCapture(event.pointerId);
    this.last = place(event, image);
    if (this.kind === 'fovea') this.look(this.last);
  }

  moved(event) {
    const image = this.stage.querySelector('img');
    if (this.kind === 'fixed' || !event.buttons || !image) return;
    const at = place(event, image);
    if (this.kind === 'fovea') { this.look(at); return; }
    if (Math.hypot(at[0] - this.last[0], at[1] - this.last[1]) < .01) return;
    this.stroke(this.last, at);
    this.last = at;
    this.send();
  }

  key(event) {
    const by = { ArrowLeft: [-.05, 0], ArrowRight: [.05, 0], ArrowUp: [0, -.05], ArrowDown: [0, .05] }[event.key];
    if (this.kind !== 'fovea' || !by) return;
    event.preventDefault();
    this.look([(Number(this.words.column) + 1) / 2 + by[0] / 2, (Number(this.words.row) + 1) / 2 + by[1] / 2]);
  }

  look([x, y]) {
    const clipped = (v) => Math.min(1, Math.max(-1, 2 * v - 1)).toFixed(3);
    this.words.column = clipped(x); this.words.row = clipped(y);
    this.changed();
  }

  clear() {
    const small = Math.min(...this.state.half_size) / 2.4;
    for (let i = 0; i < SIDE * SIDE; i++) this.map.set([small, small, 0], 3 * i);
  }

  stroke([x0, y0], [x1, y1]) {
    const [rows, columns] = this.state.shape, angle = (Math.atan2(-(y1 - y0) * rows, (x1 - x0) * columns) * 180 / Math.PI + 360) % 180;
    const { along, ratio, width } = this.brush, across = Math.max(along / ratio, Math.min(...this.state.half_size) / 2.4);
    for (let i = 0; i < SIDE; i++) for (let j = 0; j < SIDE; j++) {
      if (Math.hypot(j / (SIDE - 1) - x1, (i / (SIDE - 1) - y1) * rows / columns) < width / 4) this.map.set([Math.max(along, across), across, angle], 3 * (i * SIDE + j));
    }
  }

  async send() {
    if (this.sending) { this.again = true; return; }
    this.sending = true;
    do {
      this.again = false;
      try { this.name = (await give('/api/map', this.map.slice().buffer)).name; } catch { break; }
      if (this.kind === 'brush') this.changed();
    } while (this.again);
    this.sending = false;
  }
}
