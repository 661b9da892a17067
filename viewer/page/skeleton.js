// Motion: bones on a canvas, seen from the side and turned by dragging or the arrows; both skeletons play together.

import { element } from './controls.js';
import { colour } from './draw.js';

const view = { turn: .6, share: 0, playing: true };
const painters = new Set();
let before = 0;

function tick(now) {
  if (view.playing && painters.size) view.share = (view.share + (now - before) / 1000 / [...painters][0].seconds) % 1;
  before = now;
  painters.forEach((painter) => painter.paint());
  if (painters.size) requestAnimationFrame(tick);
}

export function skeleton(stage, state, label) {
  const canvas = element('canvas', { width: 720, height: 560, tabIndex: 0, role: 'img', 'aria-label': `${label}: arrows turn` });
  const play = element('button', { type: 'button' }, 'Pause');
  const time = element('input', { type: 'range', min: 0, max: 1, step: .001, 'aria-label': 'time' });
  const told = element('span', { className: 'unit' });
  stage.replaceChildren(canvas, element('div', { className: 'row' }, play, time, told));
  let places = null, shape = null, frame = null;
  play.addEventListener('click', () => { view.playing = !view.playing; });
  time.addEventListener('input', () => { view.playing = false; view.share = Number(time.value); });
  canvas.addEventListener('pointermove', (event) => { if (event.buttons) view.turn += event.movementX / 120; });
  canvas.addEventListener('keydown', (event) => { const by = { ArrowLeft: -.15, ArrowRight: .15 }[event.key]; if (by) { event.preventDefault(); view.turn += by; } });

  function paint() {
    if (!canvas.isConnected) { painters.delete(painter); return; }
    play.textContent = view.playing ? 'Pause' : 'Play';
    if (view.playing) time.value = view.share;
    told.textContent = `${(view.share * painter.seconds).toFixed(1)} s`;
    if (!places) return;
    const [count, joints] = shape, at = Math.min(count - 1, Math.round(view.share * (count - 1))) * joints * 3;
    const [c, s] = [Math.cos(view.turn), Math.sin(view.turn)], x = canvas.getContext('2d');
    const project = (j) => {
      // The camera follows the root over the ground.
      const [a, b, d] = [places[at + 3 * j] - places[at], places[at + 3 * j + 1] - frame.middle, places[at + 3 * j + 2] - places[at + 2]];
      return [360 + frame.scale * (c * a + s * d), 290 - frame.scale * b];
    };
    x.clearRect(0, 0, 720, 560);
    x.strokeStyle = colour('--accent'); x.fillStyle = colour('--text'); x.lineWidth = 4; x.lineCap = 'round';
    state.parents.forEach((parent, j) => {
      const [px, py] = project(j);
      if (parent >= 0) { const [qx, qy] = project(parent); x.beginPath(); x.moveTo(px, py); x.lineTo(qx, qy); x.stroke(); }
      x.beginPath(); x.arc(px, py, 3.5, 0, 7); x.fill();
    });
  }
  const painter = { paint, seconds: Math.max(.1, state.seconds) };
  if (!painters.size) requestAnimationFrame(tick);
  painters.add(painter);
  return async ({ parts }) => {
    ({ values: places, shape } = parts.places);
    if (frame) return; // the first fixes the camera, so that results are compared at one scale
    let [low, high, wide] = [Infinity, -Infinity, 1e-9];
    for (let i = 0; i < places.length; i += 3) {
      const root = 3 * shape[1] * Math.floor(i / (3 * shape[1]));
      low = Math.min(low, places[i + 1]); high = Math.max(high, places[i + 1]);
      wide = Math.max(wide, Math.hypot(places[i] - places[root], places[i + 2] - places[root + 2]));
    }
    frame = { middle: (low + high) / 2, scale: Math.min(500 / Math.max(1e-9, high - low), 330 / wide) };
  };
}
