// The API key: asked for in a dialog, kept in this tab only.

const SLOT = 'superres.key';

/** The key and the dialog that asks for it; `onChange` runs when there is one, or none any more. */
export function createKey(onChange) {
  const [dialog, form, input, refused, cancel, forget] = [
    'key-dialog', 'key-form', 'key', 'key-refused', 'key-cancel', 'key-button',
  ].map((id) => document.getElementById(id));
  const value = () => sessionStorage.getItem(SLOT) ?? '';
  const changed = () => {
    forget.hidden = !value();
    onChange();
  };

  /** Whether a key was entered; says so if the one there was is wrong. */
  function ask() {
    refused.hidden = !value();
    input.toggleAttribute('aria-invalid', Boolean(value()));
    input.value = '';
    dialog.returnValue = '';
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener('close', () => resolve(Boolean(dialog.returnValue)), { once: true });
    });
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    sessionStorage.setItem(SLOT, input.value.trim());
    input.value = '';
    dialog.close('entered');
    changed();
  });
  cancel.addEventListener('click', () => dialog.close(''));
  forget.addEventListener('click', () => {
    sessionStorage.removeItem(SLOT);
    changed();
  });
  forget.hidden = !value();
  return { value, ask };
}
