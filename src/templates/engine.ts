import { Context, Liquid, LiquidError, type Template } from 'liquidjs';
import { abbreviate } from '../core/text.ts';

/** What one template may cost. A render runs to its end before the next request has its turn. */
const limits = {
  /** Of the source. */
  characters: 65_536,
  /**
   * Tags, outputs and pieces of text in one render, each repetition of a loop counted. It does the work
   * of a time limit, but is the same on a busy machine, where a deadline would refuse good alerts.
   */
  steps: 20_000,
  /** Of lists and objects in the data: liquidjs copies the text of a list once for each list around it. */
  depth: 32,
  /** Characters and list items that filters handle in one render. */
  memory: 4_000_000,
  /** A last resort: steps and memory have run out long before, unless the machine stands still. */
  milliseconds: 5000,
} as const;

/** These take text from other files, and a template has none. */
const fileTags = ['include', 'render', 'layout', 'block'];

const engine = createEngine();

function createEngine(): Liquid {
  const liquid = new Liquid({
    templates: {},
    ownPropertyOnly: true,
    strictFilters: true,
    preserveTimezones: true,
    // Otherwise the machine's language would decide how `date` writes the names of days and months.
    locale: 'en-US',
    parseLimit: limits.characters,
    renderLimit: limits.milliseconds,
    memoryLimit: limits.memory,
  });
  for (const tag of fileTags) delete liquid.tags[tag];
  return liquid;
}

/** A template is wrong, or it fails at run time. The message says why, without the place. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  /** In the template, from 1. */
  readonly line: number;

  constructor(line: number, reason: string, cause: unknown) {
    super(reason, { cause });
    this.line = line;
  }
}

/** A template that can be rendered. */
export interface ParsedTemplate {
  /** The text for this data, as it is; throws TemplateError. */
  render(data: unknown): string;
  /** The names that the template looks for at the top of its data. */
  variables(): readonly string[];
}

/** Parses a Liquid template; throws TemplateError. */
export function parseTemplate(source: string): ParsedTemplate {
  const template = translateErrors(() => engine.parse(source));
  // Finding them takes longer than a render.
  let variables: readonly string[] | undefined;
  return {
    render: (data) => {
      if (isDeeper(data, limits.depth)) {
        throw new TemplateError(1, 'a value that is nested too deeply', undefined);
      }
      return translateErrors(() => String(engine.renderSync(template, createContext(data))));
    },
    variables: () => {
      variables ??= readVariables(template);
      return variables;
    },
  };
}

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((member) => isDeeper(member, depth - 1));
}

/** The members of an object are variables; any JSON is the variable `payload`. */
function createContext(data: unknown): Context {
  const scope = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
  const context = new Context(
    scope,
    engine.options,
    { sync: true, globals: { payload: data } },
    { liquid: engine },
  );
  const { renderLimit } = context;
  const checkTime = renderLimit.check.bind(renderLimit);
  let steps = 0;
  // liquidjs checks its time limit before each step.
  renderLimit.check = (now) => {
    steps += 1;
    if (steps > limits.steps) throw new Error(`more than ${limits.steps} steps`);
    checkTime(now);
  };
  return context;
}

function readVariables(template: Template[]): readonly string[] {
  return engine.globalVariablesSync(template).filter((name) => name !== 'payload');
}

function translateErrors<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof Error && LiquidError.is(error)) {
      const [line = 1] = error.token.getPosition();
      throw new TemplateError(line, describeReason(error), error);
    }
    // The limit on the length of the source has no place.
    if (error instanceof Error && error.name === 'AssertionError') {
      throw new TemplateError(1, `more than ${limits.characters} characters`, error);
    }
    throw error;
  }
}

/**
 * JavaScript's own messages mean nothing to the author of a template; those of liquidjs end with the
 * place.
 */
function describeReason({ message, originalError }: LiquidError): string {
  if (originalError instanceof TypeError) return 'a value that is not text';
  return abbreviate(message.replace(/(, file:.*)?, line:\d+, col:\d+$/s, ''), 200);
}
