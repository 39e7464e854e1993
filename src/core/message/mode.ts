/** How the messages of a domain's users are sent. */
export const modes = ['client', 'privileged', 'plain'] as const;
export type Mode = (typeof modes)[number];

/** The shape that a message takes on the component stream. */
export type WireForm =
  /** From a resource of the gateway's: the server's module does what it does for a client. */
  | { readonly mode: 'client'; readonly resource: string; readonly speaksInRooms: boolean }
  /** Wrapped with the privilege of this namespace (XEP-0356 §5). */
  | {
      readonly mode: 'privileged';
      readonly namespace: string;
      readonly component: string;
      readonly domain: string;
    }
  /** From the bare JID. */
  | { readonly mode: 'plain' };

/** What follows from a mode; null is what the gateway cannot know. */
export interface ModeReport {
  readonly mode: Mode;
  /** Whether the sender's archive (XEP-0313) has the message. */
  readonly archive: boolean | null;
  /** Whether the sender's other devices (XEP-0280) get a copy. */
  readonly carbons: boolean | null;
  /** Whose bounces the gateway gets to see. */
  readonly bounces: { readonly local: boolean; readonly remote: boolean };
}

/** What a form means; `returnsBounces` is whether the server returned one for a bare JID. */
export function describeForm(form: WireForm, returnsBounces: boolean): ModeReport {
  const { mode } = form;
  switch (mode) {
    case 'client':
      return { mode, archive: true, carbons: true, bounces: { local: true, remote: true } };
    case 'privileged': {
      // ejabberd announces :1, and archives what is sent with it only from 23.10 on.
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

/** What mod_message_gateway and the gateway say to one another (prosody/modules/README.md). */
export const moduleNamespace = 'urn:xmpp-message-gateway:0';
