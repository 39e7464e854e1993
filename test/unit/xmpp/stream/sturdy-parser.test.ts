import { component } from '@xmpp/component';
import { expect, test } from 'vitest';
import { makeSturdy } from '../../../../src/xmpp/stream/sturdy-parser.ts';

const { Parser } = component({ service: '', domain: 'gateway.example.org', password: '' });
const SturdyParser = makeSturdy(Parser);

const stream =
  "<?xml version='1.0'?><stream:stream id='1'><message><body>Really? Yes??</body></message>";

/** What a parser reads of the stream when it comes in these pieces. */
function read(pieces: readonly string[]): string[] {
  const parser = new SturdyParser();
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

/** What a parser tells of the stream. */
function tell(...pieces: readonly string[]): string[] {
  const parser = new SturdyParser();
  const told: string[] = [];
  parser.on('element', (element) => told.push(element.name));
  parser.on('end', () => told.push('end'));
  parser.on('error', (error) => told.push(error.message));
  for (const piece of pieces) parser.write(piece);
  return told;
}

test('what the library throws is an error of the stream, and the last of it', () => {
  expect(tell('<stream>', '<a/>&foo;<b/>', '<c/>')).toEqual(['a', 'Illegal XML entity &foo;']);
  expect(tell('<stream>', '<a>&#x110000;</a>', '<c/>')).toEqual(['Illegal XML character 0x110000']);
});

test('nothing is read behind the end', () => {
  expect(tell('<stream>', '<a/></stream>', '<b/>')).toEqual(['a', 'end']);
});

test('nobody needs to listen', () => {
  const parser = new SturdyParser();
  for (const piece of ['<stream>', '</a>&foo;', '&foo;']) parser.write(piece);
});
