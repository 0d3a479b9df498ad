// The panel that says what went wrong and what would do.

import { byId } from './element.js';

const TITLES = {
  401: 'An API key is needed',
  413: 'This image is too large',
  429: 'The server is busy',
  503: 'The server is busy',
  504: 'This took too long',
};

/** Shows `error`: its message, what is allowed, and what to tell the operator. */
export function showProblem(error) {
  byId('problem-title').textContent = TITLES[error.status] ?? 'That did not work';
  byId('problem-message').textContent = error.message;
  const told = !error.allowed || error.message.includes(error.allowed);
  put('problem-allowed', told ? '' : `Allowed: ${error.allowed}`);
  put('problem-code', [error.code, error.requestId && `request ${error.requestId}`]
    .filter(Boolean).join(' · '));
  byId('problem').hidden = false;
}

/** Takes the panel away. */
export function hideProblem() {
  byId('problem').hidden = true;
}

function put(id, text) {
  byId(id).textContent = text ?? '';
  byId(id).hidden = !text;
}
