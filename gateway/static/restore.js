// Steps of restoration: what the page offers of them, and what a request says.

import { byId, make } from './element.js';

const CHAINS = [
  { value: '', label: 'Off', hint: '' },
  { value: 'deblock,upscale', label: 'JPEG traces', hint: 'Before the model enlarges.' },
  { value: 'denoise,upscale', label: 'Noise', hint: 'Before the model enlarges.' },
  { value: 'deblock,denoise,upscale', label: 'JPEG traces and noise', hint: 'In this order.' },
  { value: 'old-photo', label: 'Old photo', hint: 'Traces, noise, then faces.', faces: true },
  { value: 'face', label: 'Portrait', hint: 'Faces are restored.', faces: true },
  { value: 'deblock,denoise', label: 'Clean, keep the size', hint: 'The model is not used.' },
];
const WHOLE = '1';

/** Offers the chains that work here: those with faces where the model takes faces. */
export function showRestore(withFaces) {
  const select = byId('restore');
  const chosen = select.value;
  const offered = CHAINS.filter(({ faces }) => withFaces || !faces);
  select.replaceChildren(...offered.map(({ value, label }) => make('option', { value }, label)));
  if (offered.some(({ value }) => value === chosen)) select.value = chosen;
}

/** Shows what belongs to the chosen chain. */
export function arrangeRestore() {
  const { value } = byId('restore');
  byId('restore-hint').textContent = CHAINS.find((chain) => chain.value === value)?.hint ?? '';
  byId('strength-field').hidden = value === '';
  byId('strength-value').value = byId('strength').value;
}

/** Whether the chosen chain leaves the image at its size. */
export function keepsSize() {
  const { value } = byId('restore');
  return value.includes(',') && !value.includes('upscale');
}

/** The options that differ from the defaults. */
export function readRestore() {
  const { value } = byId('restore');
  const strength = byId('strength').value;
  if (!value) return {};
  return { restore: value, ...(strength === WHOLE ? {} : { strength: Number(strength) }) };
}
