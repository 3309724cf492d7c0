import { dictionary } from '@zxcvbn-ts/language-common';

/** Some 50,000 passwords of past breaches, in lower case. */
const common = new Set(dictionary['passwords-common']);

/** Around a common password: what people add to get past a rule. */
const MAX_DECORATION = 6;

/** So few signs, repeated, are in no list, and need none. */
const MAX_TRIVIAL_UNIT = 3;

const lookalikes: Readonly<Record<string, string>> = {
  '0': 'o',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '8': 'b',
  '@': 'a',
  $: 's',
};

/**
 * Whether somebody who guesses tries it early: a known password, in any letter case, repeated, with
 * signs in place of letters, or with a few signs and digits around it.
 */
export function isCommonPassword(password: string): boolean {
  const lower = password.toLowerCase();
  return [lower, withoutDecoration(lower)].some((text) => text !== null && isKnown(text));
}

function isKnown(text: string): boolean {
  const unit = /^(.+?)\1*$/s.exec(text)?.[1] ?? text;
  if (unit.length < text.length && unit.length <= MAX_TRIVIAL_UNIT) return true;
  const spellings = ['i', 'l'].map((letter) => inLetters(unit, letter));
  return [text, unit, ...spellings].some((spelling) => common.has(spelling));
}

function inLetters(text: string, one: string): string {
  return text.replaceAll(/[1!]/g, one).replaceAll(/[034578@$]/g, (sign) => lookalikes[sign]!);
}

/** What is left between signs and digits; null where these are what the password is made of. */
function withoutDecoration(text: string): string | null {
  const [, before = '', core = '', after = ''] =
    /^(\P{L}*)(\p{L}.*\p{L})(\P{L}*)$/su.exec(text) ?? [];
  const decoration = before + after;
  return core !== '' && (decoration.length <= MAX_DECORATION || isKnown(decoration)) ? core : null;
}
