import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { GatewayError } from '../core/errors.ts';
import { copyText, quote } from '../core/text.ts';
import { type ParsedTemplate, parseTemplate, TemplateError } from './engine.ts';

export { parseTemplate, TemplateError } from './engine.ts';

/** The sources of Liquid templates, by name. */
export type TemplateSources = Readonly<Record<string, string>>;

/** Turns the JSON of webhooks into text. */
export interface Templates {
  /**
   * The text of the template with that name for this data, without white space around it. Throws
   * GatewayError `invalid-message` if there is no such template, if it fails, goes over a limit, or
   * has nothing to say.
   */
  render(name: string, data: unknown): string;
  /** Replaces the operator's own templates; throws TemplateError and changes nothing if one is wrong. */
  update(own: TemplateSources): void;
}

const extension = '.liquid';

/** Reads the built-in templates from their directory. */
export function readBuiltInTemplates(directory: string): TemplateSources {
  const files = readdirSync(directory).filter((file) => file.endsWith(extension));
  return Object.fromEntries(
    files.map((file) => [basename(file, extension), readFileSync(join(directory, file), 'utf8')]),
  );
}

/**
 * Creates the templates from the built-in ones and the operator's own, which replace built-in ones of
 * the same name. `maxCharacters` limits each text. Throws TemplateError if one of the operator's is wrong.
 */
export function createTemplates(
  builtIn: TemplateSources,
  own: TemplateSources,
  maxCharacters: number,
): Templates {
  const parsedBuiltIn = new Map<string, ParsedTemplate>();
  let parsedOwn = parseAll(own);
  const find = (name: string): ParsedTemplate => {
    const parsed = parsedOwn.get(name) ?? parsedBuiltIn.get(name);
    if (parsed !== undefined) return parsed;
    const source = Object.hasOwn(builtIn, name) ? builtIn[name] : undefined;
    if (source === undefined) {
      throw unknownTemplate(name, new Set([...Object.keys(builtIn), ...parsedOwn.keys()]));
    }
    // Parsing all of them would take a tenth of the start, and most are never used.
    const template = parseTemplate(source);
    parsedBuiltIn.set(name, template);
    return template;
  };
  return {
    render: (name, data) => {
      const template = find(name);
      const rendered = render(name, template, data);
      if (rendered.length > maxCharacters) {
        const detail = `expected at most ${maxCharacters} characters, got ${rendered.length}`;
        throw new GatewayError('invalid-message', `The text of the template ${name}: ${detail}.`);
      }
      const text = copyText(rendered.replace(/\r\n?/g, '\n').trim());
      if (text === '') throw saysNothing(name, template, data);
      return text;
    },
    update: (next) => {
      parsedOwn = parseAll(next);
    },
  };
}

function parseAll(sources: TemplateSources): ReadonlyMap<string, ParsedTemplate> {
  return new Map(Object.entries(sources).map(([name, source]) => [name, parseTemplate(source)]));
}

function render(name: string, template: ParsedTemplate, data: unknown): string {
  try {
    return template.render(data);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    const detail = `The template ${name} fails at line ${error.line}: ${error.message}.`;
    throw new GatewayError('invalid-message', detail, { cause: error });
  }
}

function unknownTemplate(name: string, names: ReadonlySet<string>): GatewayError {
  const known = [...names].toSorted().join(', ');
  const detail = `There is no template ${quote(name)}. There are: ${known}.`;
  return new GatewayError('invalid-message', detail);
}

function saysNothing(name: string, template: ParsedTemplate, data: unknown): GatewayError {
  const looksFor = template.variables().join(', ') || 'nothing';
  const detail = `The template ${name} has no text for this payload: it looks for ${looksFor}, and the payload is ${describePayload(data)}.`;
  return new GatewayError('invalid-message', detail);
}

const mostNames = 8;

function describePayload(data: unknown): string {
  if (Array.isArray(data)) return 'a list';
  if (typeof data !== 'object' || data === null) return data === null ? 'null' : `a ${typeof data}`;
  const names = Object.keys(data);
  if (names.length === 0) return 'an empty object';
  const shown = names
    .slice(0, mostNames)
    .map((name) => quote(name))
    .join(', ');
  return `an object with ${shown}${names.length > mostNames ? ' and more' : ''}`;
}
