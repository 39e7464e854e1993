import { parse } from 'ltx';
import { describe, expect, test } from 'vitest';
import {
  bounceStatus,
  describeBounce,
  explainConditions,
  isSenderRefusal,
  readStanzaError,
} from '../../../../src/core/message/stanza-error.ts';

const namespace = 'urn:ietf:params:xml:ns:xmpp-stanzas';

function bounceWith(children: string) {
  return parse(`<message type='error'>${children}</message>`);
}

describe('readStanzaError', () => {
  test('reads condition, type and text', () => {
    const error = `<error type='cancel'><gone xmlns='${namespace}'/><text xmlns='${namespace}'>moved</text></error>`;
    expect(readStanzaError(bounceWith(error))).toEqual({
      condition: 'gone',
      type: 'cancel',
      text: 'moved',
    });
  });

  test('reads the error of the server, not an echoed one from the sender', () => {
    const echoed = `<error type='wait'><resource-constraint xmlns='${namespace}'/><sender-refused xmlns='urn:xmpp-message-gateway:0'/></error>`;
    const own = `<error type='cancel'><item-not-found xmlns='${namespace}'/></error>`;
    const stanza = bounceWith(echoed + own);
    expect(readStanzaError(stanza).condition).toBe('item-not-found');
    expect(isSenderRefusal(stanza)).toBe(false);
    expect(isSenderRefusal(bounceWith(own + echoed))).toBe(true);
  });

  test('abbreviates what another server made long', () => {
    const error = `<error type='${'t'.repeat(99)}'><${'c'.repeat(99)} xmlns='${namespace}'/><text xmlns='${namespace}'>${'x'.repeat(60_000)}</text></error>`;
    expect(readStanzaError(bounceWith(error))).toEqual({
      condition: `${'c'.repeat(60)}…`,
      type: `${'t'.repeat(60)}…`,
      text: `${'x'.repeat(1000)}…`,
    });
  });

  test('has a condition without an <error/>', () => {
    expect(readStanzaError(bounceWith('')).condition).toBe('undefined-condition');
  });
});

test.each([
  ['item-not-found', 'cancel', 404],
  ['policy-violation', 'modify', 403],
  ['conflict', 'wait', 503],
  ['conflict', 'auth', 403],
  ['conflict', 'modify', 422],
  ['conflict', 'cancel', 502],
  ['undefined-condition', undefined, 502],
])('%s of type %s is %i', (condition, type, status) => {
  expect(bounceStatus({ condition, type, text: undefined })).toBe(status);
});

describe('describeBounce', () => {
  const user = { from: 'alice@example.org', to: 'bob@example.org', isForRoom: false };
  const room = {
    from: 'alice%example.org@gw.example.org',
    to: 'ops@rooms.example.org',
    isForRoom: true,
  };

  test.each([
    [
      'service-unavailable',
      user,
      /^bob@example\.org cannot be reached: it does not exist, .*from this sender\. If it is a room, send with the type groupchat\.$/,
    ],
    ['item-not-found', user, /^There is no bob@example\.org: no such user/],
    ['forbidden', user, /^alice@example\.org may not send this to bob@example\.org: it is blocked/],
    [
      'remote-server-not-found',
      { ...user, to: 'bob@remote.example/x@y' },
      /^No XMPP server was found for remote\.example: /,
    ],
    [
      'remote-server-timeout',
      { ...user, to: 'remote.example' },
      /^The XMPP server of remote\.example could not/,
    ],
    ['resource-constraint', user, /send it again later\.$/],
    ['item-not-found', room, /^There is no room ops@rooms\.example\.org,/],
    [
      'service-unavailable',
      room,
      /^There is no room ops@rooms\.example\.org, or it is full.*If it is a user, leave the type out\.$/,
    ],
    [
      'not-authorized',
      room,
      /^The room ops@rooms\.example\.org wants a password: .*rooms\.passwords/,
    ],
    [
      'registration-required',
      room,
      /: alice%example\.org@gw\.example\.org must become a member\.$/,
    ],
    ['forbidden', room, /^alice%example\.org@gw\.example\.org is banned from the room/],
    ['conflict', room, /^The nick of alice%example\.org@gw\.example\.org is taken in the room/],
    ['gone', room, /^ops@rooms\.example\.org has moved/],
    [
      'no-such-condition',
      user,
      /^The XMPP server returned the message to bob@example\.org with no-such-condition\.$/,
    ],
    ['constructor', user, /with constructor\.$/],
  ])('%s', (condition, message, expected) => {
    expect(describeBounce({ condition, type: 'cancel', text: undefined }, message)).toMatch(
      expected,
    );
  });

  test('quotes what the server says, shortened', () => {
    const error = { condition: 'gone', type: 'cancel', text: `"Moved"\n${'x'.repeat(10_000)}` };
    const sentence = describeBounce(error, user);
    expect(sentence).toMatch(
      /^bob@example\.org has moved or was deleted\. The server says: "\\"Moved\\"\\nxxx.*…"$/,
    );
    expect(sentence.length).toBeLessThan(300);
  });
});

test('explains each condition in one line', () => {
  const lines = explainConditions().split('\n');
  for (const condition of ['item-not-found (404)', 'conflict (status by error_type)']) {
    expect(lines.filter((line) => line.startsWith(`${condition}: `))).toHaveLength(1);
  }
  expect(explainConditions()).toContain(
    'In a room: The room ROOM is for members only: SENDER must',
  );
});
