// What came back: the facts, the note and the download.

import { byId, make } from './element.js';
import { bytes, dimensions, seconds } from './figures.js';
import { formatOf, stem } from './image-file.js';

const ENDINGS = { jpeg: 'jpg', tiff: 'tif' };
const NAMES = {
  avif: 'AVIF', bmp: 'BMP', gif: 'GIF', jpeg: 'JPEG', png: 'PNG', tiff: 'TIFF', webp: 'WebP',
};

/** A format as it is written: "JPEG"; "" for what is no image's. */
export function formatName(format) {
  return NAMES[format] ?? '';
}

/** The usual ending of a file of `format`. */
export function endingOf(format) {
  return ENDINGS[format] ?? format;
}

/** A result as { blob, url, info, seconds, close }, with an object URL to show and download. */
export function keepResult({ blob, info }, elapsed) {
  const url = URL.createObjectURL(blob);
  return { blob, url, info, seconds: elapsed, close: () => URL.revokeObjectURL(url) };
}

/** Fills in the facts and the download link. */
export function showResult(result, file) {
  const { blob, url, info } = result;
  const [width, height] = info.output_size;
  byId('facts').replaceChildren(
    fact('Size', `${dimensions(...info.input_size)} → `, dimensions(width, height)),
    fact('File', `${told(formatOf(file), file.size)} → `, told(info.image_format, blob.size)),
    fact('Time', `${seconds(info.seconds)} in the model, `, `${seconds(result.seconds)} in all`),
    fact('Model', '', info.model),
  );
  const link = byId('download');
  link.href = url;
  link.download = `${stem(file.name)}-${width}x${height}.${endingOf(info.image_format)}`;
}

/** What the person should know about this result, "" if nothing. */
export function noteOf({ info }, beforeShown, afterShown) {
  const format = formatName(info.image_format);
  if (!afterShown) return `This browser cannot show ${format}. The image is ready to download.`;
  const notes = [];
  if (info.chosen) notes.push(`Model ${info.chosen.model}: ${info.chosen.reason}.`);
  if (!beforeShown) notes.push('This browser cannot show the original: here is only the result.');
  if (info.frames_dropped > 0) notes.push(`${format} holds only the first frame.`);
  return notes.join(' ');
}

function told(format, size) {
  return `${formatName(format)} ${bytes(size)}`.trim();
}

function fact(name, before, after) {
  const value = [make('span', { className: 'was' }, before), make('strong', {}, after)];
  return make('div', {}, make('dt', {}, name), make('dd', { className: 'figures' }, ...value));
}
