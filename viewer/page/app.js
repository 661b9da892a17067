// The page: what is selected, the four panels, messages. Dragging asks for drafts, and a rest for the true result.

import { ask, give, latest, packet } from './net.js';
import { element, kernelControls } from './controls.js';
import { kernelPanel } from './draw.js';
import { errorView, viewOf } from './views.js';
import { Varying } from './vary.js';

const $ = (id) => document.getElementById(id);
const REST = 220; // milliseconds without a change
let model = 0, state = null, kernel = null, values = {}, varying = null, timer = 0, shown = {}, signalPacket = null, opened = 0, selections = 0;

const api = (what) => `/api/${model}/${what}`;
function words() {
  const query = { kernel: kernel.name, ...values, ...varying?.query() };
  if (state.kind === 'clip') query.frame = $('frame').value;
  return query;
}
const resultWords = () => ({ ...words(), size: $('size').value });

// What is refused leaves the result of an earlier selection on the page, which is paler then.
function problem(error) { $('problem').textContent = error?.message ?? ''; stage('result').classList.toggle('old', Boolean(error)); }
function notes(list) { $('notes').replaceChildren(...[...new Set(list ?? [])].map((text) => element('li', {}, text.replace(/^warning: /, '')))); }
function waiting(stage, text) { stage.replaceChildren(element('p', { className: 'wait' }, text)); }
const stage = (id) => $(id).querySelector('.stage');

async function showResult(query, draft, number) {
  const started = performance.now(), got = await packet(api(draft ? 'draft' : 'result'), query);
  if (!draft && number !== selections) return; // there is something newer on the page
  await shown.result(got, draft);
  const { facts } = got, size = facts.shape.slice(0, -1).join(' × ');
  $('result-facts').textContent = `${Math.round(performance.now() - started)} ms, ${facts.diracs} Diracs, ${size}${draft ? ', draft' : ''}${facts.said ? `, ${facts.said}` : ''}`;
  problem(null);
  if (!draft) notes(facts.notes);
  Object.assign($('result').dataset, { [draft ? 'draft' : 'rest']: JSON.stringify(query), ms: facts.ms });
}

const draw = latest((query) => showResult(query, true), problem);

// At rest: the result as it is, then the kernel and the error; given up as soon as there is a newer selection.
const rest = latest(async ({ query, full, number }, waits) => {
  const outdated = () => waits() || number !== selections;
  const busy = setTimeout(() => { $('progress').textContent = 'working …'; }, 400);
  try {
    await showResult(full, false, number);
    if (outdated()) return;
    await showKernel(query);
    if (outdated()) return;
    await showError(query);
  } finally {
    clearTimeout(busy);
    $('progress').textContent = '';
  }
}, problem);

async function showKernel(query) {
  const canvas = $('kernel-panel').querySelector('canvas');
  if (query.vary === 'brush') { $('kernel-facts').textContent = 'a Gaussian of its own at every point'; canvas.classList.add('old'); return; }
  const { facts, parts } = await packet(api('kernel'), query);
  kernelPanel(canvas, parts, facts.signed);
  canvas.classList.remove('old');
  const radius = [...parts.extent.values].map((r) => (r / 1.1).toPrecision(3));
  $('kernel-facts').textContent = `${facts.diracs} Diracs (red +, blue −), radius ${[...new Set(radius)].join(' × ')}`;
  $('kernel-panel').dataset.rest = JSON.stringify(query);
}

async function showError(query) {
  if (!state.signal) { waiting(stage('error'), 'Give --signal to see the error.'); return; }
  if (!signalPacket) { waiting(stage('error'), 'The signal is still being read.'); return; }
  const got = await packet(api('error'), query), { metrics, largest, points } = got.facts;
  if (points) waiting(stage('error'), `compared with the exact answer at ${points} points`);
  else await shown.error(got);
  stage('error').classList.remove('old');
  const name = 'snr' in metrics && !('psnr' in metrics && state.kind === 'picture') ? 'snr' : 'psnr';
  const told = [`${metrics[name].toFixed(1)} dB ${name.toUpperCase()}`];
  if (largest) told.push(`at most ${largest.toPrecision(2)}`);
  if ('ssim' in metrics) told.push(`SSIM ${metrics.ssim.toFixed(4)}`);
  if ('iou' in metrics) told.push(`IoU ${metrics.iou.toFixed(4)}`);
  if ('angle_error' in metrics) told.push(`${metrics.angle_error.toPrecision(2)}° a joint`);
  $('error-facts').textContent = told.join(', ');
  $('error').dataset.rest = JSON.stringify(query);
}

function changed() {
  const number = ++selections;
  draw(words());
  stage('error').classList.add('old');
  clearTimeout(timer);
  timer = setTimeout(() => rest({ query: words(), full: resultWords(), number }), REST);
  $('command').hidden = $('copy').hidden = true;
  $('map').hidden = !varying || varying.kind === 'fixed';
}

function set(name, value) {
  if (name === 'dropped') { drop(value); return; }
  values[name] = String(value);
  changed();
}

function chooseKernel() {
  kernel = state.kernels.find((one) => one.name === $('kernel').value);
  $('help').textContent = kernel.help;
  values = kernelControls($('sliders'), kernel, state, values, set);
  changed();
}

async function drop(file) {
  try {
    const { name, pictures } = await give('/api/picture', file);
    state.pictures = pictures;
    values.kernel_image = name;
    if (state.kernels.some((one) => one.name === 'image')) { $('kernel').value = 'image'; chooseKernel(); }
  } catch (error) { problem(error); }
}

function tellFrame() {
  $('frame-told').textContent = `${Number($('frame').value) + 1} of ${Number($('frame').max) + 1}`;
  $('frame').setAttribute('aria-valuetext', $('frame-told').textContent);
}

function chooseVary(kind) {
  $('fovea').hidden = kind !== 'fovea';
  $('brush').hidden = kind !== 'brush';
  $('kernel').disabled = kind === 'brush';
  $('sliders').hidden = $('help').hidden = kind === 'brush';
  varying.choose(kind);
}

// Wait for the model, then for its signal, and say what is being done.
async function open() {
  const number = ++opened;
  clearTimeout(timer);
  state = null; signalPacket = null;
  for (const id of ['result', 'signal', 'error']) { waiting(stage(id), ''); $(`${id}-facts`).textContent = ''; for (const key of Object.keys($(id).dataset)) delete $(id).dataset[key]; }
  problem(null); notes([]);
  for (let first = true; ; ) {
    const found = await (await ask(api('state'))).json();
    if (number !== opened) return;
    if (found.problem) problem({ message: found.problem });
    if (found.loaded && first) { first = false; ready(found); }
    if (found.step === 'ready' && state) { await showSignal(number); return; }
    if (found.problem) { $('progress').textContent = ''; return; }
    $('progress').textContent = `${found.step} …`;
    await new Promise((done) => setTimeout(done, 150));
  }
}

function ready(found) {
  state = found;
  document.body.dataset.kind = state.kind;
  const shape = state.shape.join(' × '), quality = state.psnr ? `, ${state.psnr.toFixed(1)} dB at its own kernel` : '';
  $('about').textContent = `${state.source}: ${state.modality}, ${shape}, order ${state.order}, half size ${[...new Set(state.half_size)].map((h) => Number(h.toPrecision(3))).join(' × ')}${quality}`;
  $('kernel').replaceChildren(...state.kernels.map(({ name }) => new Option(name.replaceAll('_', ' '), name)));
  $('kernel').value = state.kernels.some(({ name }) => name === 'gaussian') ? 'gaussian' : state.kernels[0].name;
  $('suffix').replaceChildren(...state.results.map((name) => new Option(name, name.slice(1))));
  $('size-label').hidden = !state.resizes;
  $('size').value = '1';
  $('frame-label').hidden = state.kind !== 'clip';
  $('frame').max = (state.shape[2] ?? 1) - 1;
  $('frame').value = Math.floor($('frame').max / 2);
  tellFrame();
  $('kernel').disabled = $('sliders').hidden = $('help').hidden = false;
  document.querySelector('input[name=vary][value=fixed]').checked = true;
  $('fovea').hidden = $('brush').hidden = true;
  varying = state.varies && state.kind === 'picture' ? new Varying(stage('result'), state, changed) : null;
  $('vary').hidden = !varying;
  stage('result').classList.remove('pick');
  shown = { result: viewOf(stage('result'), state, 'filtered', () => signalPacket), error: errorView(stage('error'), state.names) };
  waiting(stage('signal'), state.signal ? 'The signal is being read.' : 'Give --signal to see it.');
  values = {};
  chooseKernel();
}

async function showSignal(number) {
  $('progress').textContent = '';
  if (!state.signal) return;
  try {
    const got = await packet(api('signal'));
    if (number !== opened) return;
    await viewOf(stage('signal'), state, 'signal')(got, false);
    signalPacket = got;
    $('signal').dataset.rest = 'yes';
    $('signal-facts').textContent = got.facts.shape.slice(0, -1).join(' × ');
    changed();
  } catch (error) { problem(error); }
}

async function download(what) {
  try {
    const response = await ask(api(what), { ...resultWords(), suffix: $('suffix').value });
    const name = /filename="([^"]+)"/.exec(response.headers.get('Content-Disposition'))?.[1] ?? 'output';
    const link = element('a', { href: URL.createObjectURL(await response.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (error) { problem(error); }
}

async function showCommand() {
  try {
    $('command').textContent = await (await ask(api('command'), { ...resultWords(), suffix: $('suffix').value })).text();
    $('command').hidden = $('copy').hidden = false;
  } catch (error) { problem(error); }
}

async function start() {
  const models = await (await ask('/api/models')).json();
  models.forEach((name, index) => $('model').add(new Option(name, index)));
  $('model-label').hidden = models.length < 2;
  // The address keeps the choice, so that a reload does.
  if (location.hash.slice(1) in models) $('model').value = model = Number(location.hash.slice(1));
  $('model').addEventListener('change', () => { model = Number($('model').value); history.replaceState(null, '', `#${model}`); open().catch(problem); });
  $('kernel').addEventListener('change', chooseKernel);
  for (const id of ['size', 'frame']) $(id).addEventListener('input', () => { tellFrame(); changed(); });
  $('suffix').addEventListener('input', () => { $('command').hidden = $('copy').hidden = true; });
  document.querySelectorAll('input[name=vary]').forEach((radio) => radio.addEventListener('change', () => chooseVary(radio.value)));
  $('download').addEventListener('click', () => download('download'));
  $('map').addEventListener('click', () => download('map'));
  $('show-command').addEventListener('click', showCommand);
  $('copy').addEventListener('click', () => navigator.clipboard.writeText($('command').textContent).catch(() => getSelection().selectAllChildren($('command'))));
  const panel = $('kernel-panel');
  for (const kind of ['dragover', 'dragleave', 'drop']) panel.addEventListener(kind, (event) => { event.preventDefault(); panel.classList.toggle('drop', kind === 'dragover'); });
  panel.addEventListener('drop', (event) => { if (event.dataTransfer.files[0]) drop(event.dataTransfer.files[0]); });
  await open();
}

start().catch(problem);
