import { describe, expect, test } from '@jest/globals';
import { TOTP, URI } from 'otpauth';
import { describeTotp, findTotpStep, newTotpSecret } from './totp.js';

/** That of RFC 6238, appendix B. */
const secret = Uint8Array.from(Buffer.from('12345678901234567890'));

/** Of the eight digits that the appendix lists, the last six. */
const vectors: ReadonlyArray<readonly [number, string]> = [
  [59, '287082'],
  [1_111_111_109, '081804'],
  [1_111_111_111, '050471'],
  [1_234_567_890, '005924'],
  [2_000_000_000, '279037'],
  [20_000_000_000, '353130'],
];

describe('A code', () => {
  test.each(vectors)('is that of RFC 6238 at %i s', (seconds, code) => {
    expect(findTotpStep(secret, code, seconds * 1000)).toBe(Math.floor(seconds / 30));
  });

  test('is taken one step early and one step late, and belongs to its own step', () => {
    const [seconds, code] = [1_234_567_890, '005924'];
    const stepStart = Math.floor(seconds / 30) * 30_000;
    const step = stepStart / 30_000;
    expect(findTotpStep(secret, code, stepStart - 30_000)).toBe(step);
    expect(findTotpStep(secret, code, stepStart + 59_999)).toBe(step);
    expect(findTotpStep(secret, code, stepStart - 30_001)).toBeNull();
    expect(findTotpStep(secret, code, stepStart + 60_000)).toBeNull();
  });

  test.each(['00592', '0059245', '', '005925'])('%j is none', (code) => {
    expect(findTotpStep(secret, code, 1_234_567_890_000)).toBeNull();
  });
});

describe('A secret', () => {
  test('has 160 bits, and is never the same', () => {
    expect(newTotpSecret()).toHaveLength(20);
    expect(newTotpSecret()).not.toEqual(newTotpSecret());
  });

  test('reaches an authenticator app whole, with the name of the app and of the account', () => {
    const described = describeTotp(secret, 'Rind & Sons', 'ada+test@example.com');
    expect(described.secret).toBe('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ');
    const parsed = URI.parse(described.otpauthUrl);
    expect(parsed).toBeInstanceOf(TOTP);
    expect(parsed).toMatchObject({
      issuer: 'Rind & Sons',
      label: 'ada+test@example.com',
      algorithm: 'SHA1',
      digits: 6,
      period: 30,
    });
    expect(parsed.secret.base32).toBe(described.secret);
  });
});
