import { parse } from 'ltx';
import { describe, expect, test } from 'vitest';
import {
  bounceStatus,
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
