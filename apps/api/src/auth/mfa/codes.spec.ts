import { describe, expect, test } from '@jest/globals';
import { newRecoveryCodes, parseMfaCode } from './codes.js';

describe('Recovery codes', () => {
  test('are ten different ones of 80 bits each', () => {
    const { codes, hashes } = newRecoveryCodes();
    expect(codes).toHaveLength(10);
    expect(hashes).toHaveLength(10);
    expect(new Set(codes).size).toBe(10);
    for (const code of codes) expect(code).toMatch(/^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/);
  });

  test('are recognised in any letter case, with any spaces and dashes', () => {
    const { codes, hashes } = newRecoveryCodes();
    const [code = ''] = codes;
    const plain = code.replaceAll('-', '');
    const spellings = [
      code,
      plain,
      code.toUpperCase(),
      ` ${code} `,
      plain.replaceAll(/.{2}/g, '$& '),
    ];
    for (const typed of [...spellings, code.replaceAll('-', '\u2013'), `${plain}\n`]) {
      expect(parseMfaCode(typed)).toEqual({ method: 'recovery_code', hash: hashes[0] });
    }
  });
});

describe('What somebody types', () => {
  test.each(['123456', '123 456', '123-456', ' 123456'])('%j is a code of the app', (typed) => {
    expect(parseMfaCode(typed)).toEqual({ method: 'totp', digits: '123456' });
  });

  test.each(['', '12345', '1234567', '１２３４５６', 'abcd-efgh-2345-wxy', 'abcd-efgh-2345-wxy1'])(
    '%j is nothing',
    (typed) => {
      expect(parseMfaCode(typed)).toBeNull();
    },
  );
});
