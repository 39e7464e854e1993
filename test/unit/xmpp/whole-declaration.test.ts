import { component } from '@xmpp/component';
import { expect, test } from 'vitest';
import { withWholeDeclaration } from '../../../src/xmpp/whole-declaration.ts';

const { Parser } = component({ service: '', domain: 'gateway.example.org', password: '' });
const WholeParser = withWholeDeclaration(Parser);

const stream =
  "<?xml version='1.0'?><stream:stream id='1'><message><body>Really? Yes??</body></message>";

/** What a parser reads of the stream when it comes in these pieces. */
function read(pieces: readonly string[]): string[] {
  const parser = new WholeParser();
  const elements: string[] = [];
  parser.on('start', (element) => elements.push(String(element.attrs.id)));
  parser.on('element', (element) => elements.push(String(element)));
  for (const piece of pieces) parser.write(piece);
  return elements;
}

test('reads the stream wherever it is cut in two', () => {
  const whole = ['1', '<message><body>Really? Yes??</body></message>'];
  for (let cut = 0; cut <= stream.length; cut += 1) {
    expect(read([stream.slice(0, cut), stream.slice(cut)]), `cut at ${cut}`).toEqual(whole);
  }
});

test('reads the stream character by character', () => {
  expect(read(stream.split(''))).toEqual(['1', '<message><body>Really? Yes??</body></message>']);
});
