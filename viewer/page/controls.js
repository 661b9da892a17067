// Sliders of the kernels' own parameters, from the table that the server sends.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// A slider with a number beside it: `control` has name, help, least, most, step and value, and where they differ from
// these a label, and a unit as a name and a size.
export function slider(control, changed) {
  const { name, least, most, step, unit } = control, title = control.label ?? name.replaceAll('_', ' ');
  const range = element('input', { type: 'range', id: `p_${name}`, min: least, max: most, step });
  const number = element('input', { type: 'number', id: `n_${name}`, step: 'any', 'aria-label': `${title}, typed` });
  range.value = number.value = control.value;
  const shown = element('span', { className: 'unit' });
  function tell() {
    shown.textContent = unit ? `${Number((number.value / unit[1]).toPrecision(3))}${unit[0] === '°' ? '' : ' '}${unit[0]}` : '';
    range.setAttribute('aria-valuetext', `${number.value} ${shown.textContent}`);
  }
  range.addEventListener('input', () => { number.value = range.value; tell(); changed(name, range.value); });
  number.addEventListener('input', () => { if (number.value !== '') { range.value = number.value; tell(); changed(name, number.value); } });
  tell();
  const label = element('label', { htmlFor: range.id, title: control.help || '' }, title, shown);
  return element('div', { className: 'slider' }, label, element('div', {}, range, number));
}

function chooser(control, options, changed) {
  const select = element('select', { id: `p_${control.name}` });
  for (const [value, text] of options) select.add(new Option(text, value));
  select.value = control.value ?? select.value;
  select.addEventListener('change', () => changed(control.name, select.value));
  return element('label', { className: 'row', title: control.help || '' }, control.name.replaceAll('_', ' '), select);
}

// All controls of `kernel` in `place`; returns the values they start with. Values that were set before stay.
export function kernelControls(place, kernel, state, before, changed) {
  const values = {};
  place.replaceChildren();
  for (const control of kernel.parameters) {
    const own = { ...control };
    if (control.name in before && control.kind !== 'path') {
      const kept = Number(before[control.name]);
      if (!('least' in control) || (kept >= control.least && kept <= control.most)) own.value = before[control.name];
    }
    if (control.kind === 'path') {
      own.value = state.pictures.includes(before[control.name]) ? before[control.name] : state.pictures[0];
      place.append(chooser(own, state.pictures.map((name) => [name, name]), changed), dropper(changed));
    } else if (control.choices) place.append(chooser(own, control.choices, changed));
    else place.append(slider(own, changed));
    values[control.name] = String(own.value);
  }
  place.append(element('p', { className: 'hint' }, 'Numbers are in domain units, of which the signal spans two along every axis.'));
  return values;
}

// A button for those who do not drag and drop.
function dropper(changed) {
  const file = element('input', { type: 'file', accept: 'image/*', id: 'kernel-file', hidden: true });
  const button = element('button', { type: 'button' }, 'Another picture');
  button.addEventListener('click', () => file.click());
  file.addEventListener('change', () => { if (file.files[0]) changed('dropped', file.files[0]); });
  return element('div', { className: 'row' }, button, file, element('span', { className: 'hint' }, 'or drop one on the kernel'));
}
