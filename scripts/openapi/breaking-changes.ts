import {
  type Direction,
  type Documents,
  type Json,
  listOf,
  recordOf,
  SchemaComparison,
  textOf,
  textsOf,
} from './schemas.ts';

const methods = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options', 'trace'];

/**
 * What breaks clients that were built for the released document: one sentence each, none for what is merely new.
 * Clients send what it allows, expect what it promises, know its problem codes, and call the SDK's methods by name.
 */
export function findBreakingChanges(documents: Documents): string[] {
  const operations = operationsOf(documents.current);
  return Object.entries(operationsOf(documents.released)).flatMap(([name, released]) => {
    const current = operations[name];
    if (!current) return [`${name}: is gone`];
    return new OperationComparison(documents, name, released, current).breaks();
  });
}

function operationsOf(document: Json): Record<string, Json> {
  const operations = Object.entries(recordOf(document['paths'])).flatMap(([path, item]) =>
    methods
      .filter((method) => method in recordOf(item))
      .map((method) => [`${method.toUpperCase()} ${path}`, recordOf(recordOf(item)[method])]),
  );
  return Object.fromEntries(operations) as Record<string, Json>;
}

class OperationComparison {
  readonly #documents: Documents;
  readonly #name: string;
  readonly #released: Json;
  readonly #current: Json;

  constructor(documents: Documents, name: string, released: Json, current: Json) {
    this.#documents = documents;
    this.#name = name;
    this.#released = released;
    this.#current = current;
  }

  breaks(): string[] {
    return [
      ...this.#compareNames(),
      ...this.#compareSecurity(),
      ...this.#compareParameters(),
      ...this.#compareBody(),
      ...this.#compareAnswers(),
    ];
  }

  #compareNames(): string[] {
    const breaks: string[] = [];
    const [before, now] = [this.#released, this.#current].map(({ operationId }) =>
      textOf(operationId),
    );
    if (before !== now) breaks.push(`${this.#name}: operationId was ${before}, is ${now}`);
    const codes = textsOf(this.#current['x-problem-codes']);
    for (const code of textsOf(this.#released['x-problem-codes'])) {
      if (!codes.includes(code)) breaks.push(`${this.#name}: problem ${code} is gone`);
    }
    return breaks;
  }

  /** Whatever let a client in has to go on doing so. */
  #compareSecurity(): string[] {
    const [before, now] = [this.#released, this.#current].map(({ security }) =>
      (listOf(security).length === 0 ? [{}] : listOf(security)).map((way) => JSON.stringify(way)),
    );
    if (now?.includes('{}')) return [];
    return (before ?? [])
      .filter((way) => !now?.includes(way))
      .map((way) =>
        way === '{}'
          ? `${this.#name}: asks for authentication now`
          : `${this.#name}: no longer accepts ${way}`,
      );
  }

  #compareParameters(): string[] {
    const [before, now] = [parametersOf(this.#released), parametersOf(this.#current)];
    const changed = Object.entries(before).flatMap(([name, parameter]) => {
      const other = now[name];
      if (!other) return [`${this.#name}: ${name} is gone`];
      const at = `${this.#name}: ${name}`;
      return this.#compareSchemas('request', parameter['schema'], other['schema'], at);
    });
    const required = Object.keys(now).filter(
      (name) => now[name]?.['required'] === true && before[name]?.['required'] !== true,
    );
    return [...changed, ...required.map((name) => `${this.#name}: ${name} is now required`)];
  }

  #compareBody(): string[] {
    const [before, now] = [
      recordOf(this.#released['requestBody']),
      recordOf(this.#current['requestBody']),
    ];
    const at = `${this.#name}: body`;
    const isRequired = now['required'] === true && before['required'] !== true;
    return [
      ...(isRequired ? [`${at} is now required`] : []),
      ...this.#compareContent('request', before, now, at),
    ];
  }

  #compareAnswers(): string[] {
    const [before, now] = [
      recordOf(this.#released['responses']),
      recordOf(this.#current['responses']),
    ];
    const changed = Object.entries(before).flatMap(([status, answer]) => {
      const at = `${this.#name}: ${status}`;
      // Which problems are gone is told by their codes.
      if (!(status in now)) return isProblem(status) ? [] : [`${at} is gone`];
      return this.#compareContent('answer', recordOf(answer), recordOf(now[status]), at);
    });
    const added = Object.keys(now).filter((status) => !(status in before) && !isProblem(status));
    return [...changed, ...added.map((status) => `${this.#name}: ${status} is a new answer`)];
  }

  #compareContent(direction: Direction, released: Json, current: Json, at: string): string[] {
    const [before, now] = [recordOf(released['content']), recordOf(current['content'])];
    return Object.entries(before).flatMap(([type, media]) =>
      type in now
        ? this.#compareSchemas(
            direction,
            recordOf(media)['schema'],
            recordOf(now[type])['schema'],
            at,
          )
        : [`${at}: ${type} is gone`],
    );
  }

  #compareSchemas(direction: Direction, released: unknown, current: unknown, at: string): string[] {
    return new SchemaComparison(this.#documents, direction).compare(released, current, at);
  }
}

const isProblem = (status: string): boolean => /^[45]/.test(status);

/** By place and name, such as `query parameter limit`. */
function parametersOf(operation: Json): Record<string, Json> {
  const parameters = listOf(operation['parameters']).map(recordOf);
  return Object.fromEntries(
    parameters.map((parameter) => [
      `${textOf(parameter['in'])} parameter ${textOf(parameter['name'])}`,
      parameter,
    ]),
  );
}
