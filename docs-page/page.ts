import {
  describeReceipt,
  describeRefusal,
  describeSilence,
  isDecided,
  isPreview,
  isReceipt,
  type Refusal,
  readState,
  type State,
  unreachable,
} from './answers.ts';
import {
  create,
  createButton,
  createCode,
  find,
  keepInTab,
  makeCopyButton,
  readFromTab,
  setText,
} from './elements.ts';
import { buildExample, gapEnd, gapStart, isLanguage } from './examples.ts';
import {
  clearFaults,
  fillIn,
  focusNext,
  form,
  keepForm,
  markFaults,
  readForm,
  restoreForm,
  setBusy,
} from './form.ts';
import { createKeys } from './keys.ts';
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

const answer = find('answer', HTMLElement);
const example = find('example', HTMLElement);

const keysName = 'xmpp-message-gateway keys';
const keys = createKeys(readFromTab(keysName), (entries) => keepInTab(keysName, entries));
/** The last message that was sent, and at what time of the day. */
let sent: { readonly content: string; readonly time: string } | undefined;
/** The form as it was when the answer on the page was requested. */
let asked = '';

const accountHints = {
  user: 'A chat account, such as bot, with its own password; it speaks as itself. An operator grants it the permission: xmpp-message-gateway grant bot@example.org --config FILE, or xmppgateway in gateway.yaml.',
  api: 'An entry of api_accounts in gateway.yaml, such as alerts, with the password that init printed; gateway.yaml has only its hash. It speaks as any user that its entry allows.',
};

/** Shows what depends on the form: the sender, the example, and how old the answer is. */
function update(): void {
  const values = readForm();
  setText('account-hint', accountHints[values.account]);
  const sender = find('sender', HTMLElement).closest<HTMLElement>('.field');
  if (sender !== null) sender.hidden = values.account === 'user';
  showExample(values);
  showAge();
}

/** An answer to something other than what is filled in now must not look like one to this. */
function showAge(): void {
  const outcome = answer.dataset['outcome'];
  const isEarlier =
    outcome !== 'none' && outcome !== 'waiting' && JSON.stringify(readForm()) !== asked;
  answer.classList.toggle('earlier', isEarlier);
  setText('answer-heading', isEarlier ? 'Earlier answer' : 'Answer');
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
  setText('example-hint', hint);
  setText('gaps', parts.length > 1 ? 'Replace what is marked.' : '');
  setText('copied', '');
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
    // The gateway never redirects a message; the target of a proxy's redirect, such as a login page, is
    // not an answer.
    redirect: 'manual',
    signal: AbortSignal.timeout(timeoutSeconds * 1000),
  });
}

async function submit(isDryRun: boolean): Promise<void> {
  if (form.ariaBusy === 'true') return;
  const values = readForm();
  asked = JSON.stringify(values);
  const gaps = new Map(Object.entries(findGaps(values)));
  markFaults(gaps);
  if (gaps.size > 0) {
    show('refused', 'Something is missing in the form.', [...gaps.values()]);
    return;
  }
  const content = JSON.stringify({ ...values, password: '' });
  if (!isDryRun && sent?.content === content) {
    const again = createButton('Send it once more', () => {
      sent = undefined;
      void submit(false);
    });
    show('repeated', `This message was sent already, at ${sent.time}.`, [again]);
    return;
  }
  setBusy(isDryRun ? 'preview' : 'send');
  show('waiting', isDryRun ? 'Checking the message…' : 'Sending the message…');
  try {
    await (isDryRun ? preview(values) : send(values, content));
  } finally {
    setBusy(undefined);
    showAge();
  }
  await refreshState();
}

async function preview(values: FormValues): Promise<void> {
  const result = await exchange(values, true);
  if (result === undefined) return;
  const { response, text } = result;
  if (isPreview(response.status, response.headers.get('Content-Type'))) {
    show('preview', 'Nothing was sent. This is the stanza:', [createCode(text.trim())]);
  } else showRefusal(response, text, values);
}

async function send(values: FormValues, content: string): Promise<void> {
  const result = await exchange({ ...values, key: values.key || keys.find(content) }, false);
  if (result === undefined) return;
  const { response, text } = result;
  if (isDecided(response.status, text)) keys.drop(content);
  if (!isReceipt(response.status, text)) {
    showRefusal(response, text, values);
    return;
  }
  const time = timeOfDay();
  sent = { content, time };
  const { headline, details } = describeReceipt(text, time);
  const isReplayed = response.headers.get('Idempotency-Replayed') === 'true';
  const replayed = isReplayed
    ? ['It was sent only once: this is the answer to the first try.']
    : [];
  show('sent', headline, [...details, ...replayed, createWhole(text)]);
}

function timeOfDay(): string {
  return new Date().toLocaleTimeString([], { hourCycle: 'h23' });
}

/** Asks, and shows how long that takes; undefined if there is no answer, which is then shown. */
async function exchange(
  values: FormValues,
  isDryRun: boolean,
): Promise<{ response: Response; text: string } | undefined> {
  const started = performance.now();
  const stop = countSeconds(started);
  try {
    const response = await ask(values, isDryRun);
    const text = await response.text();
    const duration = Math.round(performance.now() - started);
    stop(`${response.status || 'Redirect'} in ${duration} ms, ${timeOfDay()}`);
    return { response, text };
  } catch (error) {
    stop(timeOfDay());
    show('failed', describeSilence(error, timeoutSeconds, isDryRun));
    return undefined;
  }
}

/** Shows how long the page has been waiting, until the function that it returns gets the last word. */
function countSeconds(started: number): (last: string) => void {
  const spinner = find('spinner', HTMLElement);
  const showSeconds = (): void => {
    setText('time', `${Math.floor((performance.now() - started) / 1000)} s`);
  };
  showSeconds();
  spinner.hidden = false;
  const timer = setInterval(showSeconds, 250);
  return (last) => {
    clearInterval(timer);
    spinner.hidden = true;
    setText('time', last);
  };
}

function show(outcome: string, headline: string, details: readonly (string | Node)[] = []): void {
  // The time of another answer, unless this is the end of the wait.
  if (answer.dataset['outcome'] !== 'waiting') setText('time', '');
  answer.dataset['outcome'] = outcome;
  const parts = details.map((detail) =>
    typeof detail === 'string' ? create('p', detail) : detail,
  );
  answer.replaceChildren(create('p', headline, 'headline'), ...parts);
  showAge();
  // On a narrow screen it is below the buttons; a marked field has the focus, and leads here.
  if (form.querySelector('[aria-invalid]') === null) {
    find('answer-card', HTMLElement).scrollIntoView({ block: 'nearest' });
  }
}

function createWhole(text: string): HTMLElement {
  const whole = create('details', '');
  whole.append(create('summary', 'The whole answer'), createCode(indent(text)));
  return whole;
}

function showRefusal(response: Response, text: string, values: FormValues): void {
  const { status, headers } = response;
  const refusal = describeRefusal(status, text, headers.get('Retry-After'), values);
  markFaults(refusal.faults, 'answer-card');
  const help = refusal.code === undefined ? [] : [createHelp(refusal.code)];
  show('refused', refusal.headline, [
    ...refusal.details,
    ...createCures(refusal, values.account),
    ...help,
    ...(text === '' ? [] : [createWhole(text)]),
  ]);
}

/** Buttons that do what the refusal suggests. */
function createCures({ code, meant }: Refusal, account: FormValues['account']): HTMLElement[] {
  const cures: HTMLElement[] = [];
  if (code === 'unauthenticated') {
    const [other, name] =
      account === 'user'
        ? ['api', 'an account of the gateway']
        : ['user', 'a user of the XMPP server'];
    cures.push(
      createButton(`Log in as ${name}`, () => {
        fillIn('account', other);
        changed('account');
        find('login', HTMLElement).focus();
      }),
    );
  }
  if (meant !== undefined) {
    cures.push(
      createButton(`Send to ${meant}`, () => {
        fillIn('to', meant);
        changed('to');
        find('to', HTMLElement).focus();
      }),
    );
  }
  return cures;
}

function createHelp(code: string): HTMLElement {
  const link = document.createElement('a');
  link.textContent = `What ${code} means`;
  link.href = `#${code}`;
  const paragraph = create('p', '');
  paragraph.append(link);
  return paragraph;
}

function indent(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
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
    showState({ state: 'unavailable', label: 'Unreachable', summary: unreachable, reason: '' });
  }
}

function showState({ state, label, summary, reason }: State): void {
  find('state', HTMLElement).dataset['state'] = state;
  setText('state-label', label);
  const box = find('reason', HTMLElement);
  box.hidden = summary === '';
  box.dataset['state'] = state;
  setText('reason-summary', summary);
  setText('reason-raw', reason);
  find('reason-details', HTMLElement).hidden = reason === '';
}

/** Asks again and again while somebody may be looking. */
async function watchState(): Promise<void> {
  if (document.visibilityState === 'visible') await refreshState();
  setTimeout(() => void watchState(), stateEveryMs);
}

/** A field was changed, by hand or by a button. */
function changed(name: string): void {
  clearFaults(name === 'account' ? ['login', 'password', 'sender'] : [name]);
  keepForm();
  update();
}

/** Fills in the domain if the gateway has only one, and what differs from one visitor to the next. */
function fillPage(): void {
  restoreForm();
  const domains = find('domains', HTMLDataListElement).options;
  const domain = find('domain', HTMLInputElement);
  if (domains.length === 1 && domain.value === '') domain.value = domains[0]?.value ?? '';
  find('insecure', HTMLElement).hidden = isSecureContext;
  makeCopyButton(find('copy', HTMLElement), example);
}

/** Adds to the reference what needs JavaScript: the URL of this gateway, and buttons that copy. */
function fillReference(): void {
  for (const part of document.querySelectorAll('.base')) part.textContent = base.replace(/\/$/, '');
  for (const block of document.querySelectorAll<HTMLElement>('.code')) {
    const code = block.querySelector('pre');
    if (code === null) continue;
    const button = createButton('Copy');
    button.append(create('span', ' this code', 'unseen'));
    makeCopyButton(button, code);
    block.append(button);
  }
  // On a phone the list would cover the text.
  const contents = find('contents', HTMLDetailsElement);
  const isNarrow = matchMedia('(max-width: 59.99rem)');
  const fit = (): void => {
    contents.open = !isNarrow.matches;
  };
  fit();
  isNarrow.addEventListener('change', fit);
  contents.addEventListener('click', ({ target }) => {
    if (target instanceof HTMLAnchorElement) fit();
  });
}

form.addEventListener('input', ({ target }) => {
  if (target instanceof Element) changed(target.getAttribute('name') ?? '');
});
form.addEventListener('submit', (event) => {
  event.preventDefault();
  const { submitter } = event;
  void submit(submitter instanceof HTMLButtonElement && submitter.value === 'preview');
});
form.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter') return;
  const { target } = event;
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    void submit(false);
  } else if (target instanceof HTMLInputElement && matchMedia('(pointer: coarse)').matches) {
    // The keyboard of a phone has no Tab; its Enter says "Next" (enterkeyhint).
    event.preventDefault();
    focusNext(target);
  }
});
find('languages', HTMLElement).addEventListener('change', update);
fillPage();
fillReference();
update();
void watchState();
