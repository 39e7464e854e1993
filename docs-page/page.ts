import { describeRefusal, describeSilence, readState, type State } from './answers.ts';
import { buildExample, gapEnd, gapStart, isLanguage } from './examples.ts';
import {
  buildAuthorization,
  buildHeaders,
  buildMessage,
  buildPath,
  type FormValues,
  findGaps,
} from './message-request.ts';

const timeoutSeconds = 60;
const stateEveryMs = 10_000;

/** Where the gateway is, also below a path of a proxy. */
const base = new URL('.', document.baseURI).href;

const form = find('form', HTMLFormElement);
const answer = find('answer', HTMLElement);
const example = find('example', HTMLElement);
const copied = find('copied', HTMLElement);

function find<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`the page has no #${id}`);
}

/** Creates an element with this text. */
function create(name: string, text: string, className = ''): HTMLElement {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

function readForm(): FormValues {
  const data = new FormData(form);
  const text = (name: string): string => {
    const value = data.get(name);
    // In FormData each line ends as in MIME.
    return typeof value === 'string' ? value.replaceAll('\r\n', '\n') : '';
  };
  return {
    account: text('account') === 'api' ? 'api' : 'user',
    login: text('login').trim(),
    password: text('password'),
    domain: text('domain').trim(),
    sender: text('sender').trim(),
    to: text('to').trim(),
    body: text('body'),
    subject: text('subject'),
    type: text('type'),
    id: text('id'),
    extra: text('extra'),
    key: text('key').trim(),
  };
}

const accountHints = {
  user: 'Speaks as itself, and needs the permission xmppgateway.',
  api: 'Is configured in the gateway, and speaks as any user.',
};

/** Shows what depends on the form: the sender and the example. */
function update(): void {
  const values = readForm();
  find('account-hint', HTMLElement).textContent = accountHints[values.account];
  const sender = find('sender', HTMLElement).closest<HTMLElement>('.field');
  if (sender !== null) sender.hidden = values.account === 'user';
  showExample(values);
}

function showExample(values: FormValues): void {
  const checked = document.querySelector<HTMLInputElement>('input[name=language]:checked');
  const language = checked?.value ?? '';
  const { code, hint } = buildExample(isLanguage(language) ? language : 'curl', values, base);
  const parts = code.split(gapStart).flatMap((part) => {
    const [gap, rest] = part.split(gapEnd);
    return rest === undefined ? [part] : [create('mark', gap ?? ''), rest];
  });
  example.replaceChildren(...parts);
  example.hidden = code === '';
  find('copy', HTMLElement).hidden = code === '';
  find('example-hint', HTMLElement).textContent = hint;
  find('gaps', HTMLElement).textContent = parts.length > 1 ? 'Replace what is marked.' : '';
  copied.textContent = '';
}

/** Marks these fields of the form, and no others; moves the focus to the first of them. */
function markFaults(faults: ReadonlyMap<string, string>): void {
  for (const field of form.querySelectorAll<HTMLElement>('.field')) {
    const control = field.querySelector<HTMLInputElement>('input, select, textarea');
    if (control !== null) markFault(field, control, faults.get(control.name));
  }
  form.querySelector<HTMLElement>('[aria-invalid]')?.focus();
}

function markFault(field: HTMLElement, control: HTMLElement, detail: string | undefined): void {
  field.querySelector('.fault')?.remove();
  control.removeAttribute('aria-invalid');
  control.removeAttribute('aria-describedby');
  if (detail === undefined) return;
  const fault = create('p', detail, 'fault');
  fault.id = `${control.id}-fault`;
  field.append(fault);
  control.setAttribute('aria-invalid', 'true');
  control.setAttribute('aria-describedby', fault.id);
  field.closest('details')?.setAttribute('open', '');
}

async function ask(values: FormValues, isDryRun: boolean): Promise<Response> {
  return await fetch(`${base}${buildPath(values)}${isDryRun ? '?dry_run=true' : ''}`, {
    method: 'POST',
    headers: {
      ...buildHeaders('application/json', values),
      Authorization: buildAuthorization(values.login, values.password),
    },
    body: JSON.stringify(buildMessage(values)),
    // Otherwise the browser asks for a password itself after a 401, and keeps it.
    credentials: 'omit',
    cache: 'no-store',
    signal: AbortSignal.timeout(timeoutSeconds * 1000),
  });
}

async function submit(isDryRun: boolean): Promise<void> {
  // A disabled button would lose the focus.
  if (form.ariaBusy === 'true') return;
  const values = readForm();
  const gaps = new Map(Object.entries(findGaps(values)));
  markFaults(gaps);
  if (gaps.size > 0) {
    show('refused', 'Something is missing in the form.', [...gaps.values()]);
    return;
  }
  form.ariaBusy = 'true';
  show('waiting', isDryRun ? 'Checking the message…' : 'Sending the message…');
  const started = performance.now();
  const stop = countSeconds(started);
  try {
    const response = await ask(values, isDryRun);
    const text = await response.text();
    stop(`${response.status} in ${Math.round(performance.now() - started)} ms`);
    if (response.ok) showSuccess(isDryRun, text);
    else showRefusal(response, text, values);
  } catch (error) {
    stop('');
    show('failed', describeSilence(error, timeoutSeconds, isDryRun));
  } finally {
    form.ariaBusy = 'false';
  }
  await refreshState();
}

/** Shows how long the page has been waiting, until the function that it returns gets the last word. */
function countSeconds(started: number): (last: string) => void {
  const spinner = find('spinner', HTMLElement);
  const time = find('time', HTMLElement);
  const showSeconds = (): void => {
    time.textContent = `${Math.floor((performance.now() - started) / 1000)} s`;
  };
  showSeconds();
  spinner.hidden = false;
  const timer = setInterval(showSeconds, 250);
  return (last) => {
    clearInterval(timer);
    spinner.hidden = true;
    time.textContent = last;
  };
}

function show(
  outcome: string,
  headline: string,
  details: readonly (string | Node)[] = [],
  text = '',
): void {
  answer.dataset['outcome'] = outcome;
  answer.replaceChildren(create('p', headline, 'headline'));
  for (const detail of details) {
    const paragraph = create('p', '');
    paragraph.append(detail);
    answer.append(paragraph);
  }
  if (text !== '') answer.append(createCode(text));
  // On a narrow screen it is below the buttons.
  if (form.querySelector('[aria-invalid]') === null) answer.scrollIntoView({ block: 'nearest' });
}

/** A block of code that can be scrolled by the keyboard. */
function createCode(text: string): HTMLElement {
  const code = create('pre', text);
  code.tabIndex = 0;
  code.role = 'region';
  code.ariaLabel = 'Answer of the gateway';
  return code;
}

function showSuccess(isDryRun: boolean, text: string): void {
  if (isDryRun) show('preview', 'Nothing was sent. This is the stanza:', [], text.trim());
  else show('sent', 'Sent: the XMPP server has processed the message.', [], indent(text));
}

function showRefusal(response: Response, text: string, values: FormValues): void {
  const { status, headers } = response;
  const refusal = describeRefusal(status, text, headers.get('Retry-After'), values.account);
  const { headline, details, faults, code } = refusal;
  markFaults(faults);
  show('refused', headline, [...details, ...(code === undefined ? [] : [createHelp(code)])]);
  const whole = create('details', '');
  whole.append(create('summary', 'The whole answer'), createCode(indent(text)));
  answer.append(whole);
}

function createHelp(code: string): Node {
  const link = document.createElement('a');
  link.textContent = `What ${code} means`;
  link.href = `problems/${encodeURIComponent(code)}`;
  link.target = '_blank';
  return link;
}

function indent(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** Only pages from a loopback address or over TLS may write to the clipboard. */
async function copyExample(): Promise<void> {
  try {
    await navigator.clipboard.writeText(example.textContent ?? '');
    copied.textContent = 'Copied.';
  } catch {
    getSelection()?.selectAllChildren(example);
    copied.textContent = 'Selected: copy it with the keyboard.';
  }
}

/** Asks whether messages can be sent, and shows it. */
async function refreshState(): Promise<void> {
  try {
    const response = await fetch(`${base}readyz`, {
      cache: 'no-store',
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    });
    showState(readState(response.status, await response.text()));
  } catch {
    const reason = 'It is not running, or the network is down.';
    showState({
      state: 'unavailable',
      label: 'The gateway cannot be reached',
      reason,
      domains: [],
    });
  }
}

function showState({ state, label, reason, domains }: State): void {
  const pill = find('state', HTMLElement);
  const labelled = find('state-label', HTMLElement);
  pill.dataset['state'] = state;
  // A live region is read out again whenever its text is set.
  if (labelled.textContent !== label) labelled.textContent = label;
  const paragraph = find('reason', HTMLElement);
  paragraph.textContent = reason === '' ? '' : `${label}: ${reason}`;
  paragraph.hidden = reason === '';
  if (domains.length > 0) offerDomains(domains);
}

/** Offers the domains of the gateway; fills in the only one. */
function offerDomains(domains: readonly string[]): void {
  const list = find('domains', HTMLElement);
  if (list.childElementCount === domains.length) return;
  const options = domains.map((domain) => {
    const option = document.createElement('option');
    option.value = domain;
    return option;
  });
  list.replaceChildren(...options);
  const [only = ''] = domains;
  const input = find('domain', HTMLInputElement);
  if (domains.length === 1 && input.value === '') input.value = only;
  update();
}

/** Asks again and again while somebody may be looking. */
async function watchState(): Promise<void> {
  if (document.visibilityState === 'visible') await refreshState();
  setTimeout(() => void watchState(), stateEveryMs);
}

form.addEventListener('input', update);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  const { submitter } = event;
  void submit(submitter instanceof HTMLButtonElement && submitter.value === 'preview');
});
form.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  void submit(false);
});
find('languages', HTMLElement).addEventListener('change', update);
find('copy', HTMLElement).addEventListener('click', () => void copyExample());
update();
void watchState();
