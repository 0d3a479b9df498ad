// The form of options: what it offers, and what a request made of it says.

import { byId, make } from './element.js';
import { dimensions } from './figures.js';
import { formatOf } from './image-file.js';
import { arrangeRestore, keepsSize, readRestore, showRestore } from './restore.js';
import { readSpecial, showSpecial } from './special.js';

const LOSSY = new Set(['jpeg', 'webp', 'avif']);
const DEFAULT_QUALITY = '95';
const AUTOMATIC = { fast: 'Fast', balanced: 'Balanced', best: 'Best' };
const FREE_HINT = 'For example 800:-1, or iw*3/2:ih*3/2.';

/** The options of the page; `onChange` runs after every change. */
export function createOptions(onChange) {
  const form = byId('options');
  const known = { models: [], imageFile: null };
  const changed = () => {
    arrange(form, known);
    onChange();
  };
  form.addEventListener('input', () => {
    hideInvalid();
    changed();
  });
  byId('model').addEventListener('change', () => {
    offer(known);
    changed();
  });
  return {
    setModels(models) {
      known.models = models;
      showModels(models);
      offer(known);
      changed();
    },
    setImageFile(imageFile) {
      known.imageFile = imageFile;
      hideInvalid();
      changed();
    },
    read: () => read(form, known),
    format: () => chosenFormat(form, known),
    showInvalid,
  };
}

/** Offers what the chosen model takes. */
function offer(known) {
  const names = chosenModel(known)?.options ?? [];
  showSpecial(byId('special'), names);
  showRestore(names.includes('face_enhance'));
}

/** Parameters of a request: only what differs from the service's defaults. */
function read(form, known) {
  const model = chosenModel(known);
  const asked = {};
  if (model && model !== defaultModel(known)) asked.model = model.name;
  const scale = chosenScale(form);
  if (scale !== null) asked.scale = scale;
  if (form.elements.format.value) asked.image_format = form.elements.format.value;
  const quality = byId('quality');
  if (!byId('quality-field').hidden && quality.value !== DEFAULT_QUALITY) {
    asked.quality = Number(quality.value);
  }
  const special = keepsSize() ? {} : readSpecial(byId('special'));
  return { ...asked, ...readRestore(), ...special };
}

function chosenModel({ models }) {
  const name = byId('model').value;
  return [...models, ...automatic(models)].find((model) => model.name === name);
}

/** Choices that leave the model to the service, where it has several of the default's scale. */
function automatic(models) {
  const scale = defaultModel({ models })?.scale;
  if (models.filter((model) => model.scale === scale).length < 2) return [];
  return Object.entries(AUTOMATIC).map(([preference, label]) =>
    ({ name: `auto:${preference}`, label, scale, options: [] }));
}

function defaultModel({ models }) {
  return models.find((model) => model.default) ?? models[0];
}

/** What the request asks for as `scale`; null is the model's full output. */
function chosenScale(form) {
  const choices = {
    full: () => null,
    double: () => 'iw*2:ih*2',
    width: () => `${byId('width').value.trim()}:-1`,
    free: () => byId('scale').value.trim(),
  };
  return choices[form.elements.target.value]();
}

/** The format of the answer, "" while nothing tells it. */
function chosenFormat(form, { imageFile }) {
  return form.elements.format.value || (imageFile ? formatOf(imageFile.file) : '');
}

function showModels(models) {
  const groups = bySystem(models);
  const select = byId('model');
  const chosen = select.value; // the list comes again with every new key
  const option = ({ name, label, scale, default: selected }) =>
    make('option', { value: name, defaultSelected: Boolean(selected) },
      `${label ?? name}  ·  ${scale}×`);
  select.replaceChildren(
    ...Array.from(groups, ([system, members]) =>
      groups.size > 1
        ? make('optgroup', { label: system }, ...members.map(option))
        : members.map(option)).flat(),
  );
  const choices = automatic(models);
  if (choices.length) {
    select.append(make('optgroup', { label: 'Chosen by measurement' }, ...choices.map(option)));
  }
  if ([...models, ...choices].some((model) => model.name === chosen)) select.value = chosen;
  select.disabled = false;
}

function bySystem(models) {
  const groups = new Map();
  for (const model of models) groups.set(model.system, [...groups.get(model.system) ?? [], model]);
  return groups;
}

function arrange(form, known) {
  const model = chosenModel(known);
  arrangeRestore();
  byId('special').hidden = keepsSize();
  const double = byId('target-double');
  double.hidden = Boolean(model) && factorOf(model) <= 2;
  if (double.hidden && form.elements.target.value === 'double') form.elements.target.value = 'full';
  const target = form.elements.target.value;
  byId('width-field').hidden = target !== 'width';
  byId('scale-field').hidden = target !== 'free';
  byId('model-hint').textContent = modelHint(model);
  byId('target-hint').textContent = targetHint(target, model, known.imageFile?.size);
  byId('quality-field').hidden = !LOSSY.has(chosenFormat(form, known));
  byId('quality-value').value = byId('quality').value;
}

/** What a model is good at, whose it is, and what was measured of it. */
function modelHint(model) {
  if (!model) return '';
  if (model.label) return 'The service chooses by measured quality and cost, and says which model.';
  const { description, licence, quality, bicubic_quality: bicubic, cost } = model;
  const parts = [description, licence && `licence ${licence}`];
  if (typeof quality === 'number' && typeof bicubic === 'number') {
    parts.push(`quality ${quality.toFixed(1)}, bicubic's ${bicubic.toFixed(1)}`);
  }
  if (cost) {
    const seconds = Number(cost.seconds_per_megapixel.toPrecision(2));
    parts.push(`${cost.measured ? '' : 'about '}${seconds} s per megapixel here`);
  }
  return parts.filter(Boolean).join(' · ');
}

function targetHint(target, model, size) {
  if (target === 'free') return FREE_HINT;
  if (!model) return '';
  if (target === 'width') return size ? widthHint(size, factorOf(model)) : '';
  const factor = target === 'double' ? 2 : factorOf(model);
  if (!size && factor === 1) return 'As wide and high as the image.';
  if (!size) return `${factor} times as wide and high.`;
  const { width, height } = size;
  return `${dimensions(width * factor, height * factor)} pixels.`;
}

function factorOf(model) {
  return keepsSize() ? 1 : model.scale;
}

function widthHint({ width, height }, scale) {
  const asked = Number(byId('width').value);
  const most = width * scale;
  if (!asked) return `At most ${most}.`;
  return `${dimensions(asked, Math.round((asked * height) / width))} pixels, at most ${most} wide.`;
}

/** Marks the field that the error is about and says what would do; whether there is one. */
function showInvalid({ option, allowed, message }) {
  const field = [byId('width'), byId('scale')].find((input) => !input.closest('.sub').hidden);
  if (option !== 'scale' || !field) return false;
  field.setAttribute('aria-invalid', 'true');
  const expected = allowed ?? message;
  byId('scale-error').textContent = `${expected[0].toUpperCase()}${expected.slice(1)}.`;
  byId('scale-error').hidden = false;
  field.focus();
  return true;
}

function hideInvalid() {
  for (const id of ['width', 'scale']) byId(id).removeAttribute('aria-invalid');
  byId('scale-error').hidden = true;
}
