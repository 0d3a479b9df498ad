// How far a request has come: upload, tiles, answer.

import { byId } from './element.js';

const ANNOUNCED = 4; // every quarter

/** The progress of one request from now on; `announce` tells screen readers of every quarter. */
export function startProgress(announce) {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const tick = () => {
    const whole = Math.floor(elapsed());
    byId('working-clock').textContent = whole ? `${whole} s` : '';
  };
  const clock = setInterval(tick, 1000);
  let quarter = 0;
  tick();
  show('Uploading');
  byId('working').hidden = false;
  return {
    elapsed,
    onUpload(fraction) {
      if (fraction < 1) show(`Uploading ${Math.floor(fraction * 100)} %`, fraction);
      else show('Waiting for the model');
    },
    onTiles({ done, total, finished }) {
      if (finished) return;
      if (!(total > 1)) return void show('Upscaling');
      if (done >= total) return void show('Writing the file');
      const reached = Math.floor((done / total) * ANNOUNCED);
      if (reached > quarter) announce(`${done} of ${total} tiles`);
      quarter = Math.max(reached, quarter);
      show(`${done} of ${total} tiles`, done / total);
    },
    onReceive: (fraction) => show(`Downloading ${Math.floor(fraction * 100)} %`, fraction),
    stop() {
      clearInterval(clock);
      byId('working').hidden = true;
    },
  };
}

/** `fraction` of the bar, or a bar that only says that something goes on. */
function show(text, fraction) {
  byId('working-text').textContent = text;
  if (fraction === undefined) byId('working-bar').removeAttribute('value');
  else byId('working-bar').value = fraction;
}
