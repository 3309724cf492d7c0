import { readFileSync } from 'node:fs';
import path from 'node:path';

const DOCUMENT = path.join(import.meta.dirname, '../../../../packages/contracts/openapi.json');

interface Document {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly 'x-problem-codes'?: readonly string[] }>>>
  >;
}

/** These ask nothing and nobody that could fail, and ready tells what does in a document of its own. */
const HEALTH = '/api/v1/health';

/** Each problem that a route declares, as `GET /api/v1/things/{id} not_found`. */
function declaredProblems(): string[] {
  const { paths } = JSON.parse(readFileSync(DOCUMENT, 'utf8')) as Document;
  const routes = Object.entries(paths).filter(([route]) => !route.startsWith(HEALTH));
  return routes.flatMap(([route, operations]) =>
    Object.entries(operations).flatMap(([method, { 'x-problem-codes': codes = [] }]) =>
      codes.map((code) => `${method.toUpperCase()} ${route} ${code}`),
    ),
  );
}

/** @throws Error that lists what routes declare and no test of the run has seen */
export function expectEachProblemAnswered(answersFile: string): void {
  const answered = new Set(readFileSync(answersFile, 'utf8').split('\n'));
  const missing = declaredProblems().filter((problem) => !answered.has(problem));
  if (missing.length === 0) return;
  throw new Error(
    `No test has seen these problems, which their routes declare:\n  ${missing.join('\n  ')}`,
  );
}
