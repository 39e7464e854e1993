import { createServer } from 'node:net';

/** Listens for a moment; resolves with what went wrong. */
export function tryListening(address: {
  readonly host: string;
  readonly port: number;
}): Promise<Error | undefined> {
  const { host, port } = address;
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host, port }, () => server.close(resolve));
  });
}

/** Whether somebody else listens there. */
export function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

/** What an operator can do when the gateway cannot listen at the address that is at `key`. */
export function listenAdvice(error: unknown, key: 'http' | 'http.metrics'): string {
  return isTaken(error)
    ? `If it is the gateway that listens there, ask its /readyz, or stop it first. Else correct ${key}.port.`
    : `Correct ${key}.host and ${key}.port, or run as a user who may listen there.`;
}
