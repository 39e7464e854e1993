/**
 * Catches SIGHUP from now on; returns what sets the handler, which is called at once when a signal
 * has come before, and never runs twice at a time.
 */
export function catchHangUps(): (handle: () => Promise<void>) => void {
  let handler: (() => Promise<void>) | undefined;
  let handling = Promise.resolve();
  let isEarly = false;
  process.on('SIGHUP', () => {
    if (handler === undefined) isEarly = true;
    else handling = handling.then(handler);
  });
  return (handle) => {
    handler = handle;
    if (isEarly) handling = handling.then(handle);
  };
}
