// The tabs of code: which language is shown, in colour, and copying it.

import { copied } from './clipboard.js';
import { byId, make } from './element.js';
import { SNIPPETS } from './snippets.js';

const TOKENS = /'(?:[^'\\]|\\.)*'|"[^"]*"|`[^`]*`|(?:^|(?<=\s))(?:#|\/\/).*$/gm;
const FEEDBACK_MILLISECONDS = 1800;

/** The panel of code; `update` takes the request to show. `announce` tells screen readers. */
export function createCode(announce) {
  const tabs = [...byId('code-tabs').querySelectorAll('[role=tab]')];
  const state = { language: 'python', request: null };
  const draw = () => {
    if (state.request) paint(byId('snippet-text'), SNIPPETS[state.language](state.request));
  };
  const select = (tab) => {
    state.language = tab.dataset.language;
    for (const other of tabs) {
      other.setAttribute('aria-selected', String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    byId('snippet').setAttribute('aria-labelledby', tab.id);
    draw();
  };
  for (const tab of tabs) tab.addEventListener('click', () => select(tab));
  byId('code-tabs').addEventListener('keydown', (event) => {
    const next = neighbour(tabs, event);
    if (!next) return;
    event.preventDefault();
    select(next);
    next.focus();
  });
  byId('copy').addEventListener('click', () => copy(byId('copy'), announce));
  return {
    update(request) {
      state.request = request;
      draw();
    },
  };
}

function neighbour(tabs, { key }) {
  const at = tabs.indexOf(document.activeElement);
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: -1 }[key];
  return next === undefined ? undefined : tabs.at(next % tabs.length);
}

/** `text` in `root`, strings and comments in colours of their own. */
function paint(root, text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    const className = /^[#/]/.test(match[0]) ? 'comment' : 'string';
    parts.push(text.slice(end, match.index), make('span', { className }, match[0]));
    end = match.index + match[0].length;
  }
  root.replaceChildren(...parts, text.slice(end));
}

async function copy(button, announce) {
  const done = await copied(byId('snippet-text').textContent);
  const said = done ? 'Copied' : 'Press Ctrl+C';
  if (!done) getSelection().selectAllChildren(byId('snippet-text'));
  button.textContent = said;
  button.toggleAttribute('data-done', done);
  announce(said);
  setTimeout(() => {
    button.textContent = 'Copy';
    button.removeAttribute('data-done');
  }, FEEDBACK_MILLISECONDS);
}
