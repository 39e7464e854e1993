/** The part of @xmpp/component 0.13 that the gateway uses; the package comes without types. */
declare module '@xmpp/component' {
  import type { EventEmitter } from 'node:events';
  import type { Socket, TcpNetConnectOpts } from 'node:net';
  import type { Element } from 'ltx';

  /** Makes the parser of one incoming stream. */
  export type ParserConstructor = new () => EventEmitter & { write(piece: string): void };

  export interface Component extends EventEmitter {
    /** Used for the next stream. */
    Parser: ParserConstructor;
    readonly socket: Socket | null;
    /** Deadline in milliseconds of each step of the handshake and of `stop`. */
    timeout: number;
    readonly reconnect: { stop(): void };
    socketParameters(service: string): TcpNetConnectOpts;
    connect(service: string): Promise<void>;
    open(options: { readonly domain: string }): Promise<Element>;
    stop(): Promise<unknown>;
    write(xml: string): Promise<void>;
  }

  export function component(options: {
    readonly service: string;
    readonly domain: string;
    readonly password: string;
  }): Component;
}
