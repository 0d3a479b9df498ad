// Pairs in random order; votes are kept in this browser until they are forgotten.
const data = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
const KEY = `votes ${data.models.join(' ')} ${data.images.map((image) => image.name).join(' ')}`;
const votes = JSON.parse(localStorage.getItem(KEY) ?? '[]');
let queue = [], shown = null;

function shuffle(list) {
  for (let last = list.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    [list[last], list[other]] = [list[other], list[last]];
  }
  return list;
}

function listPairs() {
  const pairs = [];
  for (const image of data.images) {
    for (const [number, one] of data.models.entries()) {
      for (const other of data.models.slice(number + 1)) {
        pairs.push({ image, sides: shuffle([one, other]) });
      }
    }
  }
  return shuffle(pairs);
}

function showNext() {
  if (!queue.length) queue = listPairs();
  shown = queue.pop();
  for (const [number, id] of ['left', 'right'].entries()) {
    byId(id).firstElementChild.src = shown.image.results[shown.sides[number]];
  }
  byId('progress').textContent = `${votes.length} chosen; ${queue.length + 1} left of this round`;
}

function vote(side) {
  if (byId('vote').hidden) return;
  const [left, right] = shown.sides;
  const [winner, loser] = side === 'right' ? [right, left] : [left, right];
  votes.push([winner, loser, side === 'same']);
  keep();
  showNext();
}

function keep() {
  localStorage.setItem(KEY, JSON.stringify(votes));
}

function showResults() {
  const scores = rateModels(data.models, votes);
  const rows = data.models.map((name, number) => {
    const met = votes.filter(([a, b]) => a === name || b === name);
    const chosen = met.reduce((sum, [a, , tie]) => sum + (tie ? 0.5 : Number(a === name)), 0);
    return { name, score: scores[number], chosen, met: met.length };
  }).sort((a, b) => b.score - a.score);
  document.querySelector('#results tbody').replaceChildren(...rows.map((row) => {
    const line = document.createElement('tr');
    for (const text of [row.name, row.score.toFixed(1), row.chosen, row.met]) {
      line.append(Object.assign(document.createElement('td'), { textContent: text }));
    }
    return line;
  }));
  const file = new Blob([JSON.stringify({ models: data.models, votes }, null, 1)]);
  byId('save').href = URL.createObjectURL(file);
  byId('vote').hidden = true;
  byId('results').hidden = false;
}

async function addVotes(files) {
  for (const file of files) {
    const added = JSON.parse(await file.text()).votes;
    const isKnown = ([a, b]) => data.models.includes(a) && data.models.includes(b);
    votes.push(...added.filter(isKnown));
  }
  keep();
  showResults();
}

byId('left').addEventListener('click', () => vote('left'));
byId('right').addEventListener('click', () => vote('right'));
byId('same').addEventListener('click', () => vote('same'));
byId('show').addEventListener('click', showResults);
byId('more').addEventListener('click', () => {
  byId('vote').hidden = false;
  byId('results').hidden = true;
  showNext();
});
byId('load').addEventListener('change', (event) => addVotes(event.target.files));
byId('clear').addEventListener('click', () => {
  votes.length = 0;
  keep();
  showResults();
});
document.addEventListener('keydown', (event) => {
  const side = { ArrowLeft: 'left', ArrowRight: 'right', ArrowDown: 'same' }[event.key];
  if (side) vote(side);
});
showNext();
