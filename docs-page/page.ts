import {
  buildAuthorization,
  buildCurlLine,
  buildRequest,
  type FormValues,
} from './message-request.ts';

/** Swagger UI's own script defines it. */
declare const SwaggerUIBundle: (options: Readonly<Record<string, unknown>>) => unknown;

const timeoutMs = 60_000;

const form = find('form', HTMLFormElement);
const answer = find('answer', HTMLElement);
const curl = find('curl', HTMLElement);
const copied = find('copied', HTMLElement);

function find<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`the page has no #${id}`);
}

function readForm(): FormValues {
  const data = new FormData(form);
  const text = (name: string): string => {
    const value = data.get(name);
    return typeof value === 'string' ? value : '';
  };
  return {
    account: text('account') === 'api' ? 'api' : 'user',
    login: text('login'),
    password: text('password'),
    domain: text('domain').trim(),
    sender: text('sender').trim(),
    to: text('to').trim(),
    type: text('type'),
    // in FormData each line ends as in MIME
    body: text('body').replaceAll('\r\n', '\n'),
    id: text('id'),
    extra: text('extra').replaceAll('\r\n', '\n'),
    key: text('key').trim(),
  };
}

/** Shows what depends on the other fields: the sender and the command line. */
function update(): void {
  const values = readForm();
  const sender = find('sender', HTMLElement);
  sender.hidden = values.account === 'user';
  const input = sender.querySelector('input');
  if (input !== null) input.required = values.account === 'api';
  curl.textContent = buildCurlLine(buildRequest(values), location.origin, values.login);
  copied.textContent = '';
}

async function ask(isDryRun: boolean): Promise<Response> {
  const values = readForm();
  const { path, headers, body } = buildRequest(values);
  return await fetch(isDryRun ? `${path}?dry_run=true` : path, {
    method: 'POST',
    headers: { ...headers, Authorization: buildAuthorization(values.login, values.password) },
    body,
    // else the browser asks for a password of its own after a 401, and keeps it
    credentials: 'omit',
    cache: 'no-store',
    signal: AbortSignal.timeout(timeoutMs),
  });
}

async function submit(isDryRun: boolean): Promise<void> {
  // a disabled button would lose the focus
  if (form.ariaBusy === 'true') return;
  form.ariaBusy = 'true';
  markFaults([]);
  try {
    const response = await ask(isDryRun);
    const text = await response.text();
    if (response.ok && isDryRun) show('preview', 'Nothing was sent. This is the stanza:', text);
    else if (response.ok) show('sent', `${response.status}: the message was sent.`, indent(text));
    else showProblem(response, text);
  } catch (error) {
    show('failed', `There was no answer: ${String(error)}`, '');
  } finally {
    form.ariaBusy = 'false';
  }
}

function show(outcome: string, headline: string, text: string): void {
  const paragraph = document.createElement('p');
  paragraph.textContent = headline;
  const pre = document.createElement('pre');
  pre.textContent = text;
  answer.dataset['outcome'] = outcome;
  answer.replaceChildren(paragraph, ...(text === '' ? [] : [pre]));
  // on a narrow screen it is below the buttons
  answer.scrollIntoView({ block: 'nearest' });
}

/** What the page reads of a problem (RFC 9457). */
interface Problem {
  readonly title?: string;
  readonly errors?: readonly { readonly pointer: string }[];
}

function showProblem(response: Response, text: string): void {
  const { title = response.statusText, errors = [] } = parseProblem(text);
  const retryAfter = response.headers.get('Retry-After');
  const later = retryAfter === null ? '' : ` Try again in ${retryAfter} s.`;
  show('refused', `${response.status}: ${title}${later}`, indent(text));
  markFaults(errors.map(({ pointer }) => pointer));
}

/** A proxy in front may answer with anything. */
function parseProblem(text: string): Problem {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function indent(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

function markFaults(pointers: readonly string[]): void {
  for (const field of form.querySelectorAll<HTMLElement>('[data-pointer]')) {
    const isFaulty = pointers.includes(field.dataset['pointer'] ?? '');
    if (isFaulty) field.setAttribute('aria-invalid', 'true');
    else field.removeAttribute('aria-invalid');
    if (isFaulty) field.closest('details')?.setAttribute('open', '');
  }
}

/** Only pages from a loopback address or over TLS may write to the clipboard. */
async function copyCurlLine(): Promise<void> {
  try {
    await navigator.clipboard.writeText(curl.textContent ?? '');
    copied.textContent = 'Copied.';
  } catch {
    getSelection()?.selectAllChildren(curl);
    copied.textContent = 'Selected: copy it with the keyboard.';
  }
}

/** Offers the domains that the gateway is ready for. */
async function offerDomains(): Promise<void> {
  const response = await fetch('/readyz', { signal: AbortSignal.timeout(timeoutMs) });
  if (!response.ok) return;
  const { domains = {} }: { domains?: object } = await response.json();
  const names = Object.keys(domains);
  find('domains', HTMLElement).replaceChildren(...names.map((name) => new Option(name, name)));
  const field = form.querySelector<HTMLInputElement>('[name=domain]');
  if (field !== null && field.value === '') field.value = names[0] ?? '';
  update();
}

function renderReference(): void {
  SwaggerUIBundle({
    url: '/openapi.json',
    domNode: find('reference', HTMLElement),
    deepLinking: true,
    docExpansion: 'list',
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
    requestInterceptor: (request: object) => Object.assign(request, { credentials: 'omit' }),
  });
}

form.addEventListener('input', update);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  const { submitter } = event;
  void submit(submitter instanceof HTMLButtonElement && submitter.value === 'preview');
});
find('copy', HTMLElement).addEventListener('click', () => void copyCurlLine());
update();
renderReference();
offerDomains().catch(() => undefined);
