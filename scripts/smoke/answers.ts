import { ExpectedError } from '../expected-error.ts';

/** What every method of the SDK answers. */
interface Answer<Data> {
  data?: Data | undefined;
  error?: unknown;
  response?: Response;
}

/** @throws Error with the problem that the server answered, or why there was no answer */
export function dataOf<Data>({ data, error, response }: Answer<Data>): Data {
  if (error instanceof Error) throw asReadable(error);
  if (data !== undefined) return data;
  throw new ExpectedError(`${response?.status} ${describeProblem(error)}`);
}

/** `fetch` says only that it failed; its cause says why, but not when it tried several addresses. */
function asReadable(error: Error): Error {
  const { cause } = error;
  if (!(cause instanceof Error)) return error;
  const code = 'code' in cause ? String(cause.code) : error.message;
  return new ExpectedError(cause.message || code, { cause: error });
}

/** Of a proxy, the answer may be any text. */
function describeProblem(body: unknown): string {
  const { code, detail, title }: Record<string, unknown> = Object(body);
  if (typeof code === 'string') return `${code}: ${String(detail ?? title)}`;
  return typeof body === 'string' ? body.trim().slice(0, 200) : JSON.stringify(body);
}
