import { StandardSchemaValidationPipe } from '@nestjs/common';
import { errorCodes, type ErrorCode, type ProblemFault } from '@rind/contracts';
import { DomainError } from './domain.error.js';
import { jsonPointer } from './json-pointer.js';

/** More would only bloat the answer: whoever breaks the schema this often has one cause. */
const MAX_FAULTS = 50;

interface Issue {
  readonly message: string;
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
  /** Zod's own name of the fault, such as `too_small`. */
  readonly code?: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** Checks bodies and queries against their Zod schema and answers faults with a pointer for each. */
export const validationPipe = () => new ValidationPipe({ exceptionFactory: toValidationError });

class ValidationPipe extends StandardSchemaValidationPipe {
  /**
   * Nest would leave out every key `constructor` or `prototype`, which apps may well store. A key that
   * changes prototypes does not get this far: the parser of bodies refuses it.
   */
  protected override stripProtoKeys(): void {
    // Nothing is left to be taken out.
  }
}

function toValidationError(issues: readonly Issue[]): DomainError {
  const faults: ProblemFault[] = issues.slice(0, MAX_FAULTS).map((issue) => ({
    pointer: pointerOf(issue),
    code: issue.code ?? 'invalid',
    message: issue.message,
  }));
  const code = issues.map(({ params }) => params?.['problem']).find(isErrorCode);
  return new DomainError(code ?? 'validation_failed', { faults });
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code);
}

function pointerOf({ path = [] }: Issue): string {
  return jsonPointer(
    ...path.map((segment) => (typeof segment === 'object' ? segment.key : segment)),
  );
}
