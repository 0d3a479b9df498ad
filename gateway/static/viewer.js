// Before and after in one view: divided, zoomed and moved.

import { byId } from './element.js';

const KEY_STEPS = {
  ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10,
  Home: -100, End: 100,
};
const PAN = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN_PIXELS = 60;
const ZOOMS = ['fit', '1', '2', '4'];

/** The viewer; `show` takes URLs of both images and the size of the larger one. */
export function createViewer() {
  const view = byId('view');
  const state = { width: 1, height: 1, zoom: 'fit', x: 0.5, y: 0.5, split: 50 };
  const draw = () => place(view, state);
  const setSplit = (split) => {
    state.split = clamp(split, 0, 100);
    draw();
  };
  const setZoom = (zoom, anchor) => {
    zoomTo(view, state, zoom, anchor);
    byId('zoom').querySelector(`[value="${zoom}"]`).checked = true;
    draw();
  };
  byId('zoom').addEventListener('change', (event) => setZoom(event.target.value));
  byId('enlarged').addEventListener('change', (event) => {
    view.dataset.enlarged = event.target.value;
  });
  listenToKeys(view, state, { draw, setSplit, setZoom });
  listenToPointer(view, state, { draw, setSplit, setZoom });
  new ResizeObserver(draw).observe(view);
  return {
    /** Whether this browser can show the result; `before` is null where it cannot show that. */
    async show({ before, after, width, height }) {
      Object.assign(state, { width, height, x: 0.5, y: 0.5, split: 50 });
      view.style.setProperty('--ratio', `${width} / ${height}`);
      view.toggleAttribute('data-alone', !before);
      load(byId('before'), before);
      load(byId('after'), after);
      const shown = await byId('after').decode().then(() => true, () => false);
      setZoom('fit');
      return shown;
    },
    /** Lets go of both images. */
    clear() {
      load(byId('before'), null);
      load(byId('after'), null);
    },
  };
}

function load(image, url) {
  if (url) image.src = url;
  else image.removeAttribute('src');
}

function clamp(value, least, most) {
  return Math.max(least, Math.min(value, most));
}

/**
 * Where the image lies in the view, in CSS pixels.
 *
 * 100 % is one pixel of the image on one pixel of the screen, whatever a CSS pixel is there.
 */
function boxOf(view, { width, height, zoom, x, y }) {
  const room = { width: view.clientWidth, height: view.clientHeight };
  const fit = Math.min(room.width / width, room.height / height);
  const scale = zoom === 'fit' ? fit : Number(zoom) / devicePixelRatio;
  const shown = { width: width * scale, height: height * scale };
  return {
    ...shown,
    scale,
    left: offset(room.width, shown.width, x),
    top: offset(room.height, shown.height, y),
    room,
  };
}

/** The start of `shown` pixels in `room`: centred if they fit, else with `centre` in the middle. */
function offset(room, shown, centre) {
  const start = shown <= room
    ? (room - shown) / 2
    : clamp(room / 2 - centre * shown, room - shown, 0);
  return Math.round(start * devicePixelRatio) / devicePixelRatio;
}

/** Left edge and width of what is visible of the image. */
function visible({ left, width, room }) {
  const start = Math.max(left, 0);
  return { start, width: Math.min(left + width, room.width) - start };
}

function place(view, state) {
  const box = boxOf(view, state);
  for (const image of [byId('before'), byId('after')]) {
    image.style.width = `${box.width}px`;
    image.style.height = `${box.height}px`;
    image.style.transform = `translate(${box.left}px, ${box.top}px)`;
  }
  const { start, width } = visible(box);
  view.style.setProperty('--left', `${start}px`);
  view.style.setProperty('--top', `${Math.max(box.top, 0)}px`);
  view.style.setProperty('--split', `${start + (width * state.split) / 100}px`);
  view.toggleAttribute('data-enlarging', box.scale * devicePixelRatio >= 2);
  view.toggleAttribute('data-movable', movable(box));
  byId('divider').setAttribute('aria-valuenow', Math.round(state.split));
  byId('divider').setAttribute('aria-valuetext', `${Math.round(state.split)} % before`);
}

function movable({ width, height, room }) {
  return width > room.width + 1 || height > room.height + 1;
}

/** Zooms; the point `anchor` of the view keeps its place, the middle of the view if none. */
function zoomTo(view, state, zoom, anchor) {
  const old = boxOf(view, state);
  const at = anchor ?? { x: old.room.width / 2, y: old.room.height / 2 };
  const point = { x: (at.x - old.left) / old.width, y: (at.y - old.top) / old.height };
  state.zoom = zoom;
  const box = boxOf(view, state);
  state.x = point.x + (box.room.width / 2 - at.x) / box.width;
  state.y = point.y + (box.room.height / 2 - at.y) / box.height;
  settle(state, box);
}

/** Keeps the centre where it can be reached, so that moving back answers at once. */
function settle(state, { width, height, room }) {
  const margin = { x: room.width / 2 / width, y: room.height / 2 / height };
  for (const axis of ['x', 'y']) {
    const least = Math.min(margin[axis], 0.5); // the middle, where all of the image is visible
    state[axis] = clamp(state[axis], least, 1 - least);
  }
}

function move(view, state, right, down) {
  const box = boxOf(view, state);
  state.x += right / box.width;
  state.y += down / box.height;
  settle(state, box);
}

function listenToKeys(view, state, { draw, setSplit, setZoom }) {
  byId('divider').addEventListener('keydown', (event) => {
    const step = KEY_STEPS[event.key];
    if (step === undefined) return;
    setSplit(state.split + step * (event.shiftKey ? 10 : 1));
    event.preventDefault();
    event.stopPropagation();
  });
  view.addEventListener('keydown', (event) => {
    const step = { '+': 1, '=': 1, '-': -1 }[event.key];
    if (step) setZoom(ZOOMS[clamp(ZOOMS.indexOf(state.zoom) + step, 0, ZOOMS.length - 1)]);
    else if (event.key === '0') setZoom('fit');
    else if (event.key in PAN && movable(boxOf(view, state))) {
      move(view, state, ...PAN[event.key].map((way) => way * PAN_PIXELS));
      draw();
    } else return;
    event.preventDefault();
  });
}

function listenToPointer(view, state, { draw, setSplit, setZoom }) {
  const at = (event) => {
    const { left, top } = view.getBoundingClientRect();
    return { x: event.clientX - left - view.clientLeft, y: event.clientY - top - view.clientTop };
  };
  const divide = (event) => {
    const { start, width } = visible(boxOf(view, state));
    setSplit(((at(event).x - start) / width) * 100);
  };
  const drag = (event) => {
    if (view.dataset.drag === 'divide') divide(event);
    else if (view.dataset.drag === 'move') {
      move(view, state, -event.movementX, -event.movementY);
      draw();
    }
  };
  view.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    const onDivider = event.target.closest('#divider');
    const moves = movable(boxOf(view, state)) && !onDivider;
    view.dataset.drag = moves ? 'move' : 'divide';
    view.setPointerCapture(event.pointerId);
    drag(event);
  });
  view.addEventListener('pointermove', drag);
  for (const end of ['pointerup', 'pointercancel']) {
    view.addEventListener(end, () => delete view.dataset.drag);
  }
  view.addEventListener('dblclick', (event) => {
    setZoom(state.zoom === 'fit' ? '2' : 'fit', at(event));
  });
}
