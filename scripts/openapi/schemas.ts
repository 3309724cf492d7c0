export type Json = Readonly<Record<string, unknown>>;

/** Whether a schema says what clients may send, or what they get. */
export type Direction = 'request' | 'answer';

/** Two documents: what clients were built for, and what they will meet. */
export interface Documents {
  released: Json;
  current: Json;
}

const lowerBounds = ['minLength', 'minItems', 'minProperties', 'minimum', 'exclusiveMinimum'];
const upperBounds = ['maxLength', 'maxItems', 'maxProperties', 'maximum', 'exclusiveMaximum'];
/** Those that say nothing of what is valid, and those that are compared below. */
const understoodKeywords = new Set(
  lowerBounds.concat(
    upperBounds,
    ['description', 'title', 'example', 'examples', 'default', 'deprecated', 'contentMediaType'],
    ['$ref', 'allOf', 'anyOf', 'oneOf', 'type', 'enum', 'const', 'x-extensible-enum'],
    ['format', 'pattern', 'properties', 'required', 'additionalProperties', 'items'],
  ),
);

interface Pair {
  released: Json;
  current: Json;
}

/**
 * Finds what breaks clients between two schemas. What they may send must still be accepted, so the released schema has to
 * allow no more than the current one; what they get must not surprise them, so there it is the other way round.
 */
export class SchemaComparison {
  readonly #documents: Documents;
  readonly #direction: Direction;
  /** Pairs of schemas that are compared further up: schemas may contain themselves. */
  readonly #open = new Set<string>();

  constructor(documents: Documents, direction: Direction) {
    this.#documents = documents;
    this.#direction = direction;
  }

  /** @returns one sentence for each break, beginning with `at` */
  compare(released: unknown, current: unknown, at: string): string[] {
    const key = `${JSON.stringify(released)} ${JSON.stringify(current)}`;
    if (this.#open.has(key)) return [];
    this.#open.add(key);
    const breaks = this.#compareBranches(
      branchesOf(released, this.#documents.released),
      branchesOf(current, this.#documents.current),
      at,
    );
    this.#open.delete(key);
    return breaks;
  }

  /** Each branch on the narrow side has to fit into one on the wide side. */
  #compareBranches(released: Json[], current: Json[], at: string): string[] {
    const isRequest = this.#direction === 'request';
    const [narrowOnes, wideOnes] = isRequest ? [released, current] : [current, released];
    return narrowOnes.flatMap((narrow) => {
      const alike = wideOnes.filter((wide) =>
        typesOf(narrow).some((type) => accepts(typesOf(wide), type)),
      );
      const attempts = (alike.length > 0 ? alike : wideOnes).map((wide) =>
        isRequest
          ? this.#comparePair({ released: narrow, current: wide }, at)
          : this.#comparePair({ released: wide, current: narrow }, at),
      );
      // The one with the fewest breaks is the one that was meant.
      return attempts.toSorted((a, b) => a.length - b.length)[0] ?? [];
    });
  }

  #comparePair(pair: Pair, at: string): string[] {
    const mismatches = this.#compareValues(pair, at);
    // Of values of another kind nothing else is worth telling.
    if (mismatches.length > 0) return mismatches;
    return [
      ...this.#compareLimits(pair, at),
      ...this.#compareProperties(pair, at),
      ...this.#compareContents(pair, at),
    ];
  }

  #compareValues({ released, current }: Pair, at: string): string[] {
    const [narrow, wide, verb] = this.#sides(released, current);
    const breaks: string[] = [];
    const types = typesOf(narrow).filter((type) => !accepts(typesOf(wide), type));
    if (types.length > 0) breaks.push(`${at}: ${verb} ${types.join(', ')}`);
    const [given, allowed] = [valuesOf(narrow), valuesOf(wide)];
    if (allowed) {
      const extra = given?.filter((value) => !allowed.includes(value)) ?? ['other values'];
      if (extra.length > 0) breaks.push(`${at}: ${verb} ${extra.join(', ')}`);
    }
    const known = textsOf(current['x-extensible-enum']);
    const gone = textsOf(released['x-extensible-enum']).filter((value) => !known.includes(value));
    if (gone.length > 0) breaks.push(`${at}: ${gone.join(', ')} is gone`);
    return breaks;
  }

  #compareLimits({ released, current }: Pair, at: string): string[] {
    const breaks: string[] = [];
    const [narrow, wide] = this.#sides(released, current);
    if (wide['format'] !== undefined && narrow['format'] !== wide['format']) {
      breaks.push(
        `${at}: format was ${textOf(released['format'])}, is ${textOf(current['format'])}`,
      );
    }
    // Clients get by with longer or larger answers, but not with tighter limits for what they send.
    if (this.#direction === 'answer') return breaks;
    const isTighter = (name: string): boolean => {
      const [before, now] = [released[name], current[name]];
      if (now === undefined || before === now) return false;
      // The pattern of a format is the validator's own way to say it.
      if (name === 'pattern') return !current['format'] || current['format'] !== released['format'];
      if (before === undefined) return true;
      return lowerBounds.includes(name)
        ? Number(now) > Number(before)
        : Number(now) < Number(before);
    };
    for (const name of ['pattern', ...lowerBounds, ...upperBounds].filter(isTighter)) {
      breaks.push(`${at}: ${name} was ${textOf(released[name])}, is ${textOf(current[name])}`);
    }
    return breaks;
  }

  #compareProperties({ released, current }: Pair, at: string): string[] {
    const [before, now] = [recordOf(released['properties']), recordOf(current['properties'])];
    const [required, stillRequired] = [textsOf(released['required']), textsOf(current['required'])];
    const breaks = Object.keys(before).flatMap((name) =>
      name in now
        ? this.compare(before[name], now[name], `${at}.${name}`)
        : [`${at}.${name}: is gone`],
    );
    if (this.#direction === 'request') {
      for (const name of stillRequired.filter((name) => !required.includes(name))) {
        breaks.push(`${at}.${name}: is now required`);
      }
    } else {
      for (const name of required.filter((name) => name in now && !stillRequired.includes(name))) {
        breaks.push(`${at}.${name}: may now be missing`);
      }
    }
    return breaks;
  }

  #compareContents({ released, current }: Pair, at: string): string[] {
    const breaks: string[] = [];
    if (released['items'] !== undefined || current['items'] !== undefined) {
      breaks.push(...this.compare(released['items'] ?? {}, current['items'] ?? {}, `${at}[]`));
    }
    const [before, now] = [released['additionalProperties'], current['additionalProperties']];
    if (now === false) {
      // In an answer, having fewer names surprises nobody.
      if (this.#direction === 'request' && before !== false) {
        breaks.push(`${at}: further properties are no longer accepted`);
      }
    } else if (isRecord(before) || isRecord(now)) {
      const [a, b] = [isRecord(before) ? before : {}, isRecord(now) ? now : {}];
      if (before !== false) breaks.push(...this.compare(a, b, `${at}.*`));
    }
    return breaks;
  }

  /** The side that may allow only what the other allows, that other, and what it means when it does not. */
  #sides(released: Json, current: Json): [narrow: Json, wide: Json, verb: string] {
    return this.#direction === 'request'
      ? [released, current, 'no longer accepts']
      : [current, released, 'may now be'];
  }
}

/** A schema as the alternatives that it allows, each without references to others. */
function branchesOf(schema: unknown, document: Json): Json[] {
  const { $ref, allOf, anyOf, oneOf, ...rest } = recordOf(schema);
  for (const keyword of Object.keys(recordOf(schema))) {
    if (!understoodKeywords.has(keyword)) {
      throw new Error(`scripts/openapi/schemas.ts does not compare the keyword ${keyword} yet`);
    }
  }
  const parts = listOf(allOf).map((part) => branchesOf(part, document));
  if (typeof $ref === 'string') parts.push(branchesOf(resolve($ref, document), document));
  for (const alternatives of [anyOf, oneOf]) {
    if (alternatives === undefined) continue;
    parts.push(listOf(alternatives).flatMap((branch) => branchesOf(branch, document)));
  }
  return parts.reduce(
    (branches, part) => branches.flatMap((a) => part.map((b) => intersect(a, b))),
    [rest],
  );
}

function intersect(a: Json, b: Json): Json {
  const merged: Record<string, unknown> = { ...a, ...b };
  if (a['properties'] && b['properties']) {
    merged['properties'] = { ...recordOf(a['properties']), ...recordOf(b['properties']) };
  }
  if (a['required'] && b['required']) {
    merged['required'] = [...listOf(a['required']), ...listOf(b['required'])];
  }
  return merged;
}

/** @param reference `#/components/schemas/User` */
function resolve(reference: string, document: Json): Json {
  const names = reference.split('/').slice(1);
  return recordOf(names.reduce<unknown>((node, name) => recordOf(node)[name], document));
}

const ANY = ['array', 'boolean', 'null', 'number', 'object', 'string'];

const typesOf = ({ type }: Json): string[] =>
  type === undefined ? ANY : [type].flat().map(String);

const accepts = (types: string[], type: string): boolean =>
  types.includes(type) || (type === 'integer' && types.includes('number'));

/** Null: any. */
function valuesOf({ const: value, enum: values }: Json): string[] | null {
  if (value !== undefined) return textsOf([value]);
  return values === undefined ? null : textsOf(values);
}

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const recordOf = (value: unknown): Json => (isRecord(value) ? value : {});
export const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const textsOf = (value: unknown): string[] => listOf(value).map(textOf);

export function textOf(value: unknown): string {
  if (value === undefined) return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
