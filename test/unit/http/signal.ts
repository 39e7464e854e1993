/** A value that a test waits for and that is set once. */
export interface Signal<T> {
  readonly told: Promise<T>;
  readonly tell: (value: T) => void;
}

export function createSignal<T = void>(): Signal<T> {
  const slot: { tell?: (value: T) => void } = {};
  const told = new Promise<T>((resolve) => {
    slot.tell = resolve;
  });
  return { told, tell: (value) => slot.tell?.(value) };
}
