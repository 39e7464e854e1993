/** Returns the element with this id; throws if the page has none of this kind. */
export function find<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`the page has no #${id}`);
}

/** Creates an element with this text. */
export function create(name: string, text: string, className = ''): HTMLElement {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

/** Creates a small button. */
export function createButton(text: string, act?: () => void): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'small';
  button.textContent = text;
  if (act !== undefined) button.addEventListener('click', act);
  return button;
}

/** Creates a block of code that can be scrolled by the keyboard. */
export function createCode(text: string): HTMLElement {
  const code = create('pre', text);
  code.tabIndex = 0;
  code.role = 'region';
  code.ariaLabel = 'Answer of the gateway';
  return code;
}

/** Puts text into an element; setting the same text again would make a live region speak again. */
export function setText(id: string, text: string): void {
  const element = find(id, HTMLElement);
  if (element.textContent !== text) element.textContent = text;
}

const copiedForMs = 2000;

/** Lets a button copy the text of a block of code, and say so for a while. */
export function makeCopyButton(button: HTMLElement, code: HTMLElement): void {
  const label = [...button.childNodes];
  let timer: number | undefined;
  const copyAndSay = async (): Promise<void> => {
    const isCopied = await copy(code);
    button.textContent = isCopied ? 'Copied ✓' : 'Selected';
    setText('copied', isCopied ? 'Copied.' : 'Selected: copy it with the keyboard.');
    clearTimeout(timer);
    timer = setTimeout(() => button.replaceChildren(...label), copiedForMs);
  };
  button.addEventListener('click', () => void copyAndSay());
}

/** Copies the text; where that is not allowed, it is at least selected, and false is returned. */
async function copy(code: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(code.textContent ?? '');
    return true;
  } catch {
    // Only pages from a loopback address or over TLS have that; the old way works everywhere.
    getSelection()?.selectAllChildren(code);
    return document.execCommand('copy');
  }
}

/** Keeps a value under this name until the tab is closed. */
export function keepInTab(name: string, value: unknown): void {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // A browser may forbid it, or have no room; then a reload forgets the value.
  }
}

/** Returns what was kept under this name; undefined if there is nothing. */
export function readFromTab(name: string): unknown {
  try {
    return JSON.parse(sessionStorage.getItem(name) ?? '');
  } catch {
    return undefined;
  }
}
