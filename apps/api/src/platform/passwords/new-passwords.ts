import { Injectable } from '@nestjs/common';
import type { ProblemFault } from '@rind/contracts';
import { DomainError } from '../errors/domain.error.js';
import { isCommonPassword } from './common-passwords.js';
import { PasswordHasher } from './password-hasher.js';

const APP_NAME = 'rind';
/** Shorter ones turn up by chance in other words. */
const MIN_PART_LENGTH = 5;

interface Choice {
  readonly password: string;
  /** Whose password it becomes. */
  readonly email: string;
  /** Where the password stands in the request. */
  readonly pointer?: string;
}

/** The way to the hash of every password that somebody chooses. */
@Injectable()
export class NewPasswords {
  constructor(private readonly hasher: PasswordHasher) {}

  /** @throws DomainError `validation_failed` for one that is easily guessed; `service_unavailable` */
  async hash({ password, email, pointer = '/password' }: Choice): Promise<string> {
    const fault = faultOf(password, email);
    if (fault) throw new DomainError('validation_failed', { faults: [{ pointer, ...fault }] });
    return this.hasher.hash(password);
  }
}

function faultOf(password: string, email: string): Omit<ProblemFault, 'pointer'> | null {
  if (isCommonPassword(password)) {
    return {
      code: 'password_common',
      message: 'This is one of the passwords that are tried first. Choose four words, for example.',
    };
  }
  if (contains(password, email.slice(0, email.lastIndexOf('@')))) {
    return { code: 'password_contains_email', message: 'Must not contain your email address' };
  }
  if (contains(password, APP_NAME)) {
    return { code: 'password_contains_app_name', message: `Must not contain the word ${APP_NAME}` };
  }
  return null;
}

/** In any letter case; a short one only where it is no part of another word. */
function contains(password: string, part: string): boolean {
  const [text, sought] = [password.toLowerCase(), part.toLowerCase()];
  if (sought.length >= MIN_PART_LENGTH) return text.includes(sought);
  const words = text.split(/[^\p{L}]+/u);
  return text === sought || words.includes(sought);
}
