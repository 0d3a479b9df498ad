// Tables that sort, figures that tell where they come from, images that move together.
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);

function sortBy(head) {
  const table = head.closest('table'), body = table.tBodies[0];
  const column = [...head.parentNode.children].indexOf(head);
  const down = head.getAttribute('aria-sort') !== 'descending';
  for (const other of head.parentNode.children) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const key = (row) => {
    const cell = row.children[column];
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null && y === null) {
      const order = a.children[column].textContent.localeCompare(b.children[column].textContent);
      return down ? order : -order;
    }
    if (x === null || y === null) return x === null ? 1 : -1; // what is missing stays below
    return down ? y - x : x - y;
  };
  body.append(...[...body.rows].sort(compare));
}

for (const button of document.querySelectorAll('thead button')) {
  button.addEventListener('click', () => sortBy(button.parentNode));
}

const dialog = document.getElementById('cell');
function showCell(name) {
  dialog.querySelector('h3').textContent = name;
  dialog.querySelector('pre').textContent = JSON.stringify(data.cells[name], null, 1);
  dialog.showModal();
}
for (const element of document.querySelectorAll('[data-cell]')) {
  element.title = element.dataset.cell;
  element.addEventListener('click', () => showCell(element.dataset.cell));
  element.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') showCell(element.dataset.cell);
  });
}

for (const strip of document.querySelectorAll('.strip')) {
  const at = { zoom: 1, x: 0, y: 0 };
  const images = [...strip.querySelectorAll('.view img')];
  const show = (view) => {
    at.x = Math.min(0, Math.max(at.x, view.clientWidth * (1 - at.zoom)));
    at.y = Math.min(0, Math.max(at.y, view.clientHeight * (1 - at.zoom)));
    for (const image of images) image.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.zoom})`;
  };
  for (const image of images) {
    const view = image.parentNode;
    view.addEventListener('wheel', (event) => {
      event.preventDefault();
      const zoom = Math.min(16, Math.max(1, at.zoom * (event.deltaY < 0 ? 1.25 : 0.8)));
      const box = view.getBoundingClientRect();
      const [left, top] = [event.clientX - box.left, event.clientY - box.top];
      at.x = left - (left - at.x) * zoom / at.zoom;
      at.y = top - (top - at.y) * zoom / at.zoom;
      at.zoom = zoom;
      show(view);
    }, { passive: false });
    view.addEventListener('pointerdown', (event) => view.setPointerCapture(event.pointerId));
    view.addEventListener('pointermove', (event) => {
      if (!view.hasPointerCapture(event.pointerId)) return;
      at.x += event.movementX;
      at.y += event.movementY;
      show(view);
    });
    view.addEventListener('dblclick', () => {
      Object.assign(at, { zoom: 1, x: 0, y: 0 });
      show(view);
    });
  }
}
