/** The ways to send the messages of a domain's users (docs/modes.md). */
export const modes = ['client', 'privileged', 'plain'] as const;
export type Mode = (typeof modes)[number];

/** The form of a message on the component stream. */
export type WireForm =
  /** From a resource that the server's module treats like a client's. */
  | {
      readonly mode: 'client';
      readonly resource: string;
      readonly speaksInRooms: boolean;
      /** Whether XEP-0184 receipts come back to that resource. */
      readonly returnsReceipts: boolean;
    }
  /** Wrapped under a privilege, of this version's namespace (XEP-0356 §5). */
  | {
      readonly mode: 'privileged';
      readonly namespace: string;
      readonly component: string;
      readonly domain: string;
    }
  /** From the bare JID. */
  | { readonly mode: 'plain' };

/** The consequences of a mode; null means that the gateway cannot know. */
export interface ModeReport {
  readonly mode: Mode;
  /** Whether the message is stored in the sender's archive (XEP-0313). */
  readonly archive: boolean | null;
  /** Whether the sender's other devices (XEP-0280) get a copy. */
  readonly carbons: boolean | null;
  /** Which bounces reach the gateway: those of its own server, and those of others. */
  readonly bounces: { readonly local: boolean; readonly remote: boolean };
}

/** Describes a form; `returnsBounces`: whether the server returned a bounce to a bare JID. */
export function describeForm(form: WireForm, returnsBounces: boolean): ModeReport {
  const { mode } = form;
  switch (mode) {
    case 'client':
      return { mode, archive: true, carbons: true, bounces: { local: true, remote: true } };
    case 'privileged': {
      // ejabberd announces `:1`, and archives such messages only since 23.10.
      const archive = form.namespace === 'urn:xmpp:privilege:1' ? null : true;
      return { mode, archive, carbons: archive, bounces: { local: false, remote: false } };
    }
    case 'plain':
      return {
        mode,
        archive: false,
        carbons: false,
        bounces: { local: returnsBounces, remote: false },
      };
    default:
      return form satisfies never;
  }
}

/** The namespace of the protocol between the gateway and mod_message_gateway (prosody/modules/README.md). */
export const moduleNamespace = 'urn:xmpp-message-gateway:0';
