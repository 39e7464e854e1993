import { create, find, keepInTab, readFromTab } from './elements.ts';
import { cutDomain, type FormValues } from './message-request.ts';

/** The form, and nothing but the form. */
export const form = find('form', HTMLFormElement);

/** What is filled in now. */
export function readForm(): FormValues {
  const data = new FormData(form);
  const text = (name: string): string => {
    const value = data.get(name);
    // In FormData each line ends as in MIME.
    return typeof value === 'string' ? value.replaceAll('\r\n', '\n') : '';
  };
  const domain = text('domain').trim();
  return {
    account: text('account') === 'api' ? 'api' : 'user',
    login: text('login').trim(),
    password: text('password'),
    domain,
    sender: cutDomain(text('sender').trim(), domain),
    to: text('to').trim(),
    body: text('body'),
    subject: text('subject'),
    type: text('type'),
    id: text('id'),
    extra: text('extra'),
    key: text('key').trim(),
  };
}

/** Fills in a field, or chooses the radio button with this value. */
export function fillIn(name: string, value: string): void {
  const control = form.elements.namedItem(name);
  if (
    control instanceof RadioNodeList ||
    control instanceof HTMLInputElement ||
    control instanceof HTMLSelectElement ||
    control instanceof HTMLTextAreaElement
  ) {
    control.value = value;
  }
}

const storageName = 'xmpp-message-gateway form';

/** Keeps what is filled in, except for the password, until the tab is closed. */
export function keepForm(): void {
  const { password: _, ...values } = Object.fromEntries(new FormData(form));
  keepInTab(storageName, values);
}

/** Fills in what was kept. */
export function restoreForm(): void {
  const kept: object = Object(readFromTab(storageName));
  for (const [name, value] of Object.entries(kept)) fillIn(name, String(value));
  // Everything that is sent must be visible.
  for (const control of form.querySelectorAll<HTMLInputElement>(
    'details :is(input, select, textarea)',
  )) {
    if (control.value !== '') openAround(control);
  }
}

/**
 * Marks these fields, and no others; moves the focus to the first of them. `more` is the id of the
 * element with the whole explanation.
 */
export function markFaults(faults: ReadonlyMap<string, string>, more = ''): void {
  for (const field of form.querySelectorAll<HTMLElement>('.field')) {
    const control = field.querySelector<HTMLInputElement>('input, select, textarea');
    if (control !== null) markFault(field, control, faults.get(control.name), more);
  }
  form.querySelector<HTMLElement>('[aria-invalid]')?.focus();
}

/** Takes the marks off fields that have been changed. */
export function clearFaults(names: readonly string[]): void {
  for (const control of form.querySelectorAll<HTMLInputElement>('[aria-invalid]')) {
    const field = control.closest<HTMLElement>('.field');
    if (field !== null && names.includes(control.name)) markFault(field, control, undefined, '');
  }
}

function markFault(
  field: HTMLElement,
  control: HTMLElement,
  detail: string | undefined,
  more: string,
): void {
  field.querySelector('.fault')?.remove();
  control.removeAttribute('aria-invalid');
  control.removeAttribute('aria-describedby');
  if (detail === undefined) return;
  const fault = create('p', detail, 'fault');
  fault.id = `${control.id}-fault`;
  if (more !== '') {
    const link = document.createElement('a');
    link.href = `#${more}`;
    link.textContent = 'Why?';
    fault.append(' ', link);
  }
  field.append(fault);
  control.setAttribute('aria-invalid', 'true');
  control.setAttribute('aria-describedby', fault.id);
  openAround(field);
}

/** Opens the part of the form that a field is in, if that can be closed. */
function openAround(field: Element): void {
  field.closest('details')?.setAttribute('open', '');
}

/** Moves the focus from one field to the next visible one. */
export function focusNext(control: Element): void {
  const controls = [...form.querySelectorAll<HTMLElement>('.field :is(input, select, textarea)')];
  const later = controls.slice(controls.findIndex((one) => one === control) + 1);
  later.find((one) => one.checkVisibility())?.focus();
}

/** Says on the buttons what is under way; they stay enabled, because a disabled one loses the focus. */
export function setBusy(action: 'preview' | 'send' | undefined): void {
  form.ariaBusy = String(action !== undefined);
  const labels = {
    preview: action === 'preview' ? 'Checking…' : 'Preview',
    send: action === 'send' ? 'Sending…' : 'Send',
  };
  for (const button of form.querySelectorAll<HTMLButtonElement>('.buttons button')) {
    button.ariaDisabled = action === undefined ? null : 'true';
    button.textContent = button.value === 'send' ? labels.send : labels.preview;
  }
}
