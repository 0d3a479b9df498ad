// The page: an image comes in, goes to the service, and is compared with what comes back.

import { createCode } from './code.js';
import { createCreator, imagesOf } from './create.js';
import { byId } from './element.js';
import { bytes, dimensions } from './figures.js';
import { createIntake } from './intake.js';
import { createKey } from './key.js';
import { createOptions } from './options.js';
import { formatOf, openImageFile, stem } from './image-file.js';
import { hideProblem, showProblem } from './problem.js';
import { endingOf, formatName, keepResult, noteOf, showResult } from './result.js';
import { address, createService, newRequestId, Refused } from './service.js';
import { createViewer } from './viewer.js';
import { startProgress } from './working.js';

/** What each state shows, beside the form and the code. */
const SHOWN = {
  empty: ['intake', 'sample'],
  ready: ['preview', 'chosen'],
  working: ['preview', 'chosen'],
  done: ['viewer', 'chosen', 'tools', 'facts'],
};
const PARTS = [...new Set(Object.values(SHOWN).flat())];

start();

function start() {
  const page = { imageFile: null, chosen: null, result: null, abort: null, models: false };
  page.key = createKey(() => {
    page.models = false; // asked for again: a large image must not be sent with a wrong key
    updateCode(page);
  });
  page.service = createService(page.key.value);
  page.code = createCode(announce);
  page.viewer = createViewer();
  page.options = createOptions(() => updateCode(page));
  page.creator = createCreator(() => createImage(page));
  createIntake((file) => takeImageFile(page, file));
  byId('problem-close').addEventListener('click', hideProblem);
  byId('cancel').addEventListener('click', () => page.abort?.abort());
  byId('options').addEventListener('submit', (event) => {
    event.preventDefault();
    upscale(page);
  });
  updateCode(page);
  guarded(page, () => loadModels(page));
}

function announce(text) {
  byId('announcement').textContent = text;
}

function setState(state) {
  document.body.dataset.state = state;
  for (const id of PARTS) byId(id).hidden = !SHOWN[state].includes(id);
  byId('start').hidden = state === 'working';
  byId('cancel').hidden = state !== 'working';
  byId('start').disabled = state === 'empty';
}

async function loadModels(page) {
  const { models, endpoints = [] } = await page.service.models();
  page.models = true;
  page.options.setModels(models);
  page.creator.offer(endpoints);
}

/** Runs `action`; asks for a key as often as the service does. Whether it got through. */
async function guarded(page, action) {
  for (;;) {
    try {
      await action();
      return true;
    } catch (error) {
      if (error.name === 'AbortError') return false;
      const locked = error instanceof Refused && error.status === 401;
      if (locked) byId('api').hidden = true; // a link carries no key
      if (locked && (await page.key.ask())) continue;
      showProblem(error);
      if (!page.options.showInvalid(error)) byId('problem').scrollIntoView({ block: 'nearest' });
      return false;
    }
  }
}

async function takeImageFile(page, file) {
  page.abort?.abort();
  page.chosen = file;
  const imageFile = await openImageFile(file);
  if (page.chosen !== file) return imageFile.close();
  closeResult(page);
  page.imageFile?.close();
  page.imageFile = imageFile;
  page.options.setImageFile(imageFile);
  hideProblem();
  showPreview(imageFile);
  setState('ready');
  announce(`${file.name} is ready to upscale.`);
  return byId('start').focus({ preventScroll: true });
}

function showPreview({ file, url, size }) {
  const ratio = size ? `${size.width} / ${size.height}` : '4 / 3';
  byId('preview').style.setProperty('--ratio', ratio);
  byId('preview').toggleAttribute('data-enlarging', size?.width * 2 <= byId('stage').clientWidth);
  byId('preview-image').hidden = !size;
  if (size) byId('preview-image').src = url;
  byId('preview-note').hidden = Boolean(size);
  byId('chosen-name').textContent = file.name;
  const shape = size && dimensions(size.width, size.height);
  const facts = [shape, formatName(formatOf(file)), bytes(file.size)];
  byId('chosen-facts').textContent = facts.filter(Boolean).join(' · ');
}

function closeResult(page) {
  page.result?.close();
  page.result = null;
  page.viewer.clear();
}

async function upscale(page) {
  if (!page.imageFile) return;
  await work(page, (signal) => request(page, signal));
}

/** Runs the one request there may be; what it made is shown, or what there was before. */
async function work(page, ask) {
  if (page.abort) return;
  hideProblem();
  const abort = new AbortController();
  page.abort = abort;
  const done = await guarded(page, async () => {
    if (!page.models) await loadModels(page);
    await ask(abort.signal);
  });
  abort.abort(); // the stream of progress ends too
  page.abort = null;
  if (!done) setState(page.result ? 'done' : page.imageFile ? 'ready' : 'empty');
  keepFocus(done ? byId('divider') : byId('start'));
}

/** Makes an image to the prompt, and compares it with its enlargement. */
async function createImage(page) {
  page.creator.setBusy(true);
  await work(page, (signal) => requestCreation(page, signal));
  page.creator.setBusy(false);
}

async function requestCreation(page, signal) {
  const id = newRequestId();
  byId('preview-image').hidden = true;
  setState('working');
  byId('chosen').hidden = !page.imageFile;
  const progress = startProgress(announce);
  progress.onUpload(1);
  followTiles(page, id, signal, progress);
  try {
    const parameters = page.creator.read(page.options.read());
    const answer = imagesOf(await page.service.imagine(parameters, { id, signal }));
    const elapsed = progress.elapsed();
    closeResult(page);
    page.imageFile?.close();
    page.imageFile = await openImageFile(answer.made);
    page.chosen = answer.made;
    page.options.setImageFile(page.imageFile);
    showPreview(page.imageFile);
    page.result = keepResult(answer, elapsed);
    await compare(page);
  } finally {
    progress.stop();
  }
}

/** Focuses `next` if what had the focus is gone. */
function keepFocus(next) {
  const lost = [document.body, byId('start'), byId('cancel')].includes(document.activeElement);
  if (lost) next.focus({ preventScroll: true });
}

/** Sends the image and shows what comes back. */
async function request(page, signal) {
  const { imageFile } = page;
  const id = newRequestId();
  setState('working');
  keepFocus(byId('cancel'));
  byId('stage').scrollIntoView({ block: 'nearest' });
  const progress = startProgress(announce);
  followTiles(page, id, signal, progress);
  const { onUpload, onReceive } = progress;
  try {
    const told = { id, signal, onUpload, onReceive };
    const answer = await page.service.upscale(imageFile.file, page.options.read(), told);
    closeResult(page);
    page.result = keepResult(answer, progress.elapsed());
    await compare(page);
  } finally {
    progress.stop();
  }
}

/** Progress is a courtesy: the answer comes without it too. */
async function followTiles(page, id, signal, progress) {
  try {
    for await (const event of page.service.progress(id, signal)) progress.onTiles(event);
  } catch {
    if (!signal.aborted) progress.onTiles({ done: 0, total: 0 });
  }
}

async function compare(page) {
  const { imageFile, result } = page;
  const [width, height] = result.info.output_size;
  showResult(result, imageFile.file);
  setState('done');
  const before = imageFile.size && imageFile.url;
  const shown = await page.viewer.show({ before, after: result.url, width, height });
  byId('view').hidden = !shown;
  byId('zoom').disabled = !shown;
  byId('enlarged').disabled = !shown || !before;
  const note = noteOf(result, Boolean(before), shown);
  byId('viewer-note').textContent = note;
  byId('viewer-note').hidden = !note;
  announce(`Done: ${width} by ${height} pixels. ${note}`);
}

function updateCode(page) {
  const file = page.imageFile?.file ?? { name: 'photo.jpg', type: 'image/jpeg' };
  const format = page.options.format() || formatOf(file);
  page.code.update({
    address: address(),
    file: file.name,
    type: file.type || 'application/octet-stream',
    output: `${stem(file.name)}-upscaled.${endingOf(format)}`,
    format,
    options: page.options.read(),
    keyed: Boolean(page.key.value()),
  });
}
