// An image that a person chose.

const ENDING = /\.([^.]+)$/;

/** The file, an object URL of it, and its size; `size` is null where the browser cannot show it. */
export async function openImageFile(file) {
  const url = URL.createObjectURL(file);
  return { file, url, size: await shownSize(url), close: () => URL.revokeObjectURL(url) };
}

/** Width and height of the image at `url`, upright; null where the browser cannot show it. */
export async function shownSize(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return null;
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

/** The format that a file's name or type promises, as the service calls it; "" for none. */
export function formatOf({ name, type }) {
  const kind = type.startsWith('image/') ? type.slice(6) : '';
  const ending = (ENDING.exec(name)?.[1] ?? '').toLowerCase();
  return { jpg: 'jpeg', tif: 'tiff' }[kind || ending] ?? (kind || ending);
}

/** The name without its ending. */
export function stem(name) {
  return name.replace(ENDING, '') || 'image';
}
