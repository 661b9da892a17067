// Asking the server: packets unpacked, refusals as errors with their sentence, and one request in flight at a time.

const TYPES = { uint8: Uint8Array, uint32: Uint32Array, float32: Float32Array };

async function answered(response) {
  if (response.ok) return response;
  throw Error(await response.text());
}

export async function ask(path, words = {}) {
  const query = new URLSearchParams(words).toString();
  return answered(await fetch(query ? `${path}?${query}` : path));
}

export async function give(path, content) {
  return (await answered(await fetch(path, { method: 'POST', body: content }))).json();
}

// Facts and parts of a packet (viewer/packet.py).
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const first = Math.ceil((4 + length) / 8) * 8;
  const parts = {};
  for (const part of facts.parts) {
    const count = part.shape.reduce((a, b) => a * b, 1);
    parts[part.name] = { values: new TYPES[part.type](buffer, first + part.start, count), shape: part.shape };
  }
  return { facts, parts };
}

export async function packet(path, words) {
  return unpack(await (await ask(path, words)).arrayBuffer());
}

// A function that works on its newest value only: while one is worked on, a later one replaces those that wait.
export function latest(work, failed) {
  let busy = false, next = null;
  return async function newest(value) {
    next = { value };
    if (busy) return;
    busy = true;
    while (next) {
      const { value: newest } = next;
      next = null;
      try {
        await work(newest, () => next !== null);
      } catch (error) {
        if (!next) failed(error);
      }
    }
    busy = false;
  };
}

export function blobUrl(part, type) {
  return URL.createObjectURL(new Blob([part.values], { type }));
}
