// How results are shown, one function per kind of view (viewer/views.py): stage, state -> show(packet, draft).

import { blobUrl } from './net.js';
import { element } from './controls.js';
import { curves, wave } from './draw.js';
import { surface } from './surface.js';
import { skeleton } from './skeleton.js';

// Decoded apart, as a draft and a result at rest may both be on their way to the same image.
async function setImage(image, part) {
  const fresh = new Image(), old = image.src;
  fresh.src = blobUrl(part, part.values[0] === 0xff ? 'image/jpeg' : 'image/png');
  await fresh.decode();
  image.src = fresh.src;
  if (old.startsWith('blob:')) setTimeout(() => URL.revokeObjectURL(old), 2000);
}

function picture(stage, state, label) {
  const image = element('img', { className: 'pixels', alt: label, draggable: false });
  stage.replaceChildren(image);
  return async ({ parts }) => { await setImage(image, parts.picture); };
}

function clip(stage, state, label) {
  const image = element('img', { className: 'pixels', alt: `${label}, one frame` });
  const video = element('video', { controls: true, loop: true, muted: true, playsInline: true, hidden: true, 'aria-label': label });
  stage.replaceChildren(image, video);
  return async ({ parts }) => {
    if (parts.picture) {
      await setImage(image, parts.picture);
      video.pause();
    } else {
      const old = video.src, at = video.currentTime;
      video.src = blobUrl(parts.clip, 'video/mp4');
      if (old) URL.revokeObjectURL(old);
      await new Promise((done) => { video.onloadeddata = video.onerror = done; });
      if (at) video.currentTime = at;
    }
    image.hidden = !parts.picture;
    video.hidden = Boolean(parts.picture);
  };
}

function sound(stage, state, label) {
  const shape = element('canvas', { width: 800, height: 160, role: 'img', 'aria-label': `waveform, ${label}` });
  const spectrum = element('img', { alt: `spectrogram, ${label}` });
  const player = element('audio', { controls: true, 'aria-label': label });
  stage.replaceChildren(shape, spectrum, player);
  return async ({ parts }) => {
    wave(shape, parts.wave);
    await setImage(spectrum, parts.spectrum);
    if (parts.sound) {
      if (player.src) URL.revokeObjectURL(player.src);
      player.src = blobUrl(parts.sound, 'audio/wav');
    }
  };
}

function series(stage, state, label, before) {
  const canvas = element('canvas', { role: 'img', 'aria-label': label });
  stage.replaceChildren(canvas);
  return async ({ parts }) => {
    const unit = state.times ? `${state.time} ${state.times[0]} … ${state.times[1].toPrecision(5)}` : '';
    const behind = before?.()?.parts.curves;
    curves(canvas, parts.curves, state.names, behind, unit);
  };
}

const VIEWS = { picture, clip, sound, surface, skeleton, curves: series };

export function viewOf(stage, state, label, before) {
  return VIEWS[state.kind](stage, state, label, before);
}

// Errors are a picture or curves, whatever the kind of view.
export function errorView(stage, names) {
  const canvas = element('canvas', { role: 'img', 'aria-label': 'absolute error' });
  const image = element('img', { className: 'pixels', alt: 'absolute error' });
  return async ({ parts }) => {
    if (parts.picture) { stage.replaceChildren(image); await setImage(image, parts.picture); }
    else if (parts.curves) { stage.replaceChildren(canvas); curves(canvas, parts.curves, parts.curves.shape[1] > 1 ? names : null); }
    else stage.replaceChildren();
  };
}
