// Options that only some models have: one row each, and the controls made of the rows.

import { make } from './element.js';

const CONTROLS = {
  denoise_strength: { label: 'Denoise', type: 'range', min: 0, max: 1, step: 0.05, value: 0.5 },
  face_enhance: { label: 'Enhance faces', type: 'checkbox' },
  face_strength: { label: 'Face strength', type: 'range', min: 0, max: 1, step: 0.05, value: 1 },
  prompt: { label: 'Prompt', type: 'text', value: '' },
  negative_prompt: { label: 'Negative prompt', type: 'text', value: '' },
  noise_level: { label: 'Noise level', type: 'number', min: 0, max: 350, step: 1, value: '' },
  steps: { label: 'Steps', type: 'number', min: 1, max: 150, step: 1, value: '' },
  guidance_scale: { label: 'Guidance', type: 'number', min: 0, max: 30, step: 0.5, value: '' },
  seed: { label: 'Seed', type: 'number', min: 0, step: 1, value: '' },
};

/** Shows the controls of these options in `root`, instead of those there. */
export function showSpecial(root, names) {
  root.replaceChildren(...names.filter((name) => name in CONTROLS).map(field));
  const enhance = root.querySelector('[name=face_enhance]');
  const strength = root.querySelector('[name=face_strength]');
  if (!enhance || !strength) return;
  const follow = () => { strength.disabled = !enhance.checked; };
  enhance.addEventListener('change', follow);
  follow();
}

/** The options in `root` that differ from the model's defaults and have an effect. */
export function readSpecial(root) {
  const given = {};
  for (const input of root.querySelectorAll('input:enabled')) {
    const changed = input.type === 'checkbox' ? input.checked : input.value !== input.defaultValue;
    if (changed) given[input.name] = valueOf(input);
  }
  return given;
}

function valueOf(input) {
  if (input.type === 'checkbox') return true;
  return input.type === 'text' ? input.value : Number(input.value);
}

function field(name) {
  const { label, type, value = '', ...limits } = CONTROLS[name];
  const id = `special-${name}`;
  const input = make('input', { id, name, type, ...limits });
  input.defaultValue = String(value);
  if (type === 'checkbox') {
    return make('div', { className: 'field' },
      make('label', { className: 'check', htmlFor: id }, input, ` ${label}`));
  }
  const text = make('label', { htmlFor: id }, `${label} `);
  if (type === 'range') text.append(valueBeside(input));
  if (type === 'number') input.placeholder = 'default';
  return make('div', { className: 'field' }, text, input);
}

function valueBeside(input) {
  const shown = make('output', { className: 'figures' }, input.value);
  input.addEventListener('input', () => {
    shown.value = input.value;
  });
  return shown;
}
