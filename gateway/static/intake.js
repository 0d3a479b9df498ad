// How an image gets onto the page: file picker, drop, paste, and a sample of the server's.

/** Calls `onFile` with every file that is chosen, dropped anywhere on the page, or pasted. */
export function createIntake(onFile) {
  const picker = document.getElementById('file');
  picker.addEventListener('change', () => {
    if (picker.files[0]) onFile(picker.files[0]);
    picker.value = ''; // choosing the same file again is a change too
  });
  document.getElementById('replace').addEventListener('click', () => picker.click());
  window.addEventListener('paste', (event) => {
    const file = event.clipboardData?.files[0];
    if (!file) return;
    event.preventDefault();
    onFile(file);
  });
  document.getElementById('sample-button').addEventListener('click', async () => {
    const answer = await fetch(new URL('sample.jpg', import.meta.url));
    if (!answer.ok) return;
    onFile(new File([await answer.blob()], 'sample.jpg', { type: 'image/jpeg' }));
  });
  receiveDrops(onFile);
}

function receiveDrops(onFile) {
  const { dataset } = document.body;
  let depth = 0; // of dragenter over dragleave: both come for every child
  const leave = () => {
    depth = 0;
    delete dataset.dragging;
  };
  const carriesFile = (event) => event.dataTransfer?.types.includes('Files');
  window.addEventListener('dragenter', (event) => {
    if (!carriesFile(event)) return;
    depth += 1;
    dataset.dragging = '';
  });
  window.addEventListener('dragleave', () => {
    depth -= 1;
    if (depth <= 0) leave();
  });
  window.addEventListener('dragover', (event) => {
    if (carriesFile(event)) event.preventDefault();
  });
  window.addEventListener('drop', (event) => {
    leave();
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    onFile(file);
  });
}
