// Shapes: three.js draws, dragging turns, the wheel and + - zoom, arrows turn; both shapes turn together.

import { BufferAttribute, BufferGeometry, DirectionalLight, HemisphereLight, Mesh, MeshStandardMaterial, PerspectiveCamera, Scene, WebGLRenderer } from './three.module.min.js';
import { element } from './controls.js';

const pose = { across: -.5, up: .3, distance: 3.1 };
const painters = new Set();

function turned(across, up, zoom) {
  pose.across += across;
  pose.up = Math.max(-1.55, Math.min(1.55, pose.up + up));
  pose.distance = Math.max(1.6, Math.min(12, pose.distance * zoom));
  painters.forEach((paint) => paint());
}

const KEYS = { ArrowLeft: [-.15, 0, 1], ArrowRight: [.15, 0, 1], ArrowUp: [0, .15, 1], ArrowDown: [0, -.15, 1], '+': [0, 0, .9], '-': [0, 0, 1.1] };

function listen(canvas) {
  canvas.addEventListener('pointerdown', (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener('pointermove', (event) => { if (event.buttons) turned(event.movementX / 120, event.movementY / 120, 1); });
  canvas.addEventListener('wheel', (event) => { event.preventDefault(); turned(0, 0, Math.exp(event.deltaY / 900)); }, { passive: false });
  canvas.addEventListener('keydown', (event) => { if (KEYS[event.key]) { event.preventDefault(); turned(...KEYS[event.key]); } });
}

export function surface(stage, state, label) {
  const canvas = element('canvas', { tabIndex: 0, role: 'img', 'aria-label': `${label}: arrows turn, + and - zoom` });
  canvas.style.touchAction = 'none';
  stage.replaceChildren(canvas);
  let renderer;
  try {
    renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
  } catch {
    stage.replaceChildren(element('p', { className: 'wait' }, 'This browser has no WebGL: download the mesh instead.'));
    return async () => {};
  }
  const scene = new Scene(), camera = new PerspectiveCamera(38, 1, .1, 50), light = new DirectionalLight(0xffffff, 2.2);
  const geometry = new BufferGeometry(), mesh = new Mesh(geometry, new MeshStandardMaterial({ color: 0xcfc2ae, roughness: .7 }));
  light.position.set(-2, 3, 2.5);
  camera.add(light);
  scene.add(new HemisphereLight(0xffffff, 0x665544, 1.3), camera, mesh);
  function paint() {
    if (!canvas.isConnected) { painters.delete(paint); renderer.dispose(); return; }
    const size = Math.max(200, Math.round(stage.clientWidth));
    renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    renderer.setSize(size, Math.min(size, 560), false);
    camera.aspect = size / Math.min(size, 560);
    camera.updateProjectionMatrix();
    const flat = pose.distance * Math.cos(pose.up);
    camera.position.set(flat * Math.sin(Math.PI - pose.across), pose.distance * Math.sin(pose.up), flat * Math.cos(Math.PI - pose.across));
    camera.lookAt(0, 0, 0);
    renderer.render(scene, camera);
  }
  painters.add(paint);
  listen(canvas);
  new ResizeObserver(paint).observe(stage);
  return async ({ facts, parts }) => {
    geometry.setAttribute('position', new BufferAttribute(parts.vertices.values, 3));
    geometry.setAttribute('normal', new BufferAttribute(parts.normals.values, 3));
    geometry.setIndex(new BufferAttribute(parts.faces.values, 1));
    geometry.computeBoundingSphere();
    facts.said = `${parts.faces.shape[0].toLocaleString('en')} faces`;
    paint();
  };
}
