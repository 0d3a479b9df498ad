// The tab Create: a prompt instead of an image, where the service makes images.

import { byId } from './element.js';

const SHARED = new Set(['model', 'scale', 'image_format', 'quality', 'restore', 'strength']);
const NUMBERS = { width: 'create-width', height: 'create-height', seed: 'create-seed', steps: 'create-steps' };

/** Calls `onCreate` when a person asks for an image. */
export function createCreator(onCreate) {
  const form = byId('create');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (byId('prompt').value.trim()) onCreate();
  });
  for (const tab of document.querySelectorAll('[name=source]')) {
    tab.addEventListener('change', () => {
      form.hidden = tab.value !== 'create' || !tab.checked;
      if (!form.hidden) byId('prompt').focus();
    });
  }
  return {
    offer(endpoints) {
      byId('sources').hidden = !endpoints.includes('/imagine');
    },
    /** The request's parameters; `options` are those of upscaling. */
    read(options) {
      const asked = { prompt: byId('prompt').value.trim() };
      const unwanted = byId('negative-prompt').value.trim();
      if (unwanted) asked.negative_prompt = unwanted;
      for (const [name, id] of Object.entries(NUMBERS)) {
        if (byId(id).value) asked[name] = Number(byId(id).value);
      }
      const shared = Object.entries(options).filter(([name]) => SHARED.has(name));
      return { ...asked, ...Object.fromEntries(shared) };
    },
    setBusy(busy) {
      byId('create-start').disabled = busy;
    },
  };
}

/** The two images of an answer in Jina's JSON, as files, and what the service tells of them. */
export function imagesOf(document) {
  const info = document.tags.imagine;
  const [made] = document.chunks;
  return {
    made: fileOf(made.blob, 'image/png', 'created.png'),
    blob: fileOf(document.blob, document.mime_type, 'created'),
    info: { ...info, input_size: info.made_size },
  };
}

function fileOf(base64, type, name) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new File([bytes], name, { type });
}
