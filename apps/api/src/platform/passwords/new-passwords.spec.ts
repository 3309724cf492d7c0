import { beforeAll, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../config/config.js';
import { NewPasswords } from './new-passwords.js';
import { PasswordHasher } from './password-hasher.js';

describe('choosing a password', () => {
  let passwords: NewPasswords;

  beforeAll(() => {
    const config = loadConfig({
      DATABASE_URL: 'postgres://unused',
      PASSWORD_HASH_MEMORY_KIB: '8192',
      PASSWORD_HASH_TIME_COST: '1',
    });
    passwords = new NewPasswords(new PasswordHasher(config));
  });

  const hash = (password: string, email = 'ada.lovelace@example.com') =>
    passwords.hash({ password, email, pointer: '/newPassword' });

  test.each([
    ['qwertyuiop', 'as it is in the list'],
    ['QwertyUIOP', 'in other letter case'],
    ['1234567890', 'digits'],
    ['passwordpassword', 'repeated'],
    ['aaaaaaaaaaaa', 'one letter'],
    ['............', 'one sign'],
    ['121212121212', 'a few digits again and again'],
    ['Password123!', 'with signs behind it'],
    ['!!Sunshine2026', 'with signs around it'],
    ['P@ssw0rd2026', 'with signs in place of letters'],
    ['b4sk3tb4ll!', 'with digits in place of letters'],
    ['we1come2026', 'with a 1 in place of an l'],
    ['monkey12345678', 'two common ones after one another'],
  ])('%s is refused: %s', async (password) => {
    await expect(hash(password)).rejects.toMatchObject({
      code: 'validation_failed',
      faults: [{ pointer: '/newPassword', code: 'password_common' }],
    });
  });

  test.each([
    ['my ADA.Lovelace pass', 'password_contains_email'],
    ['xxada.lovelacexx', 'password_contains_email'],
    ['rind is my backend', 'password_contains_app_name'],
    ['MyNewRind-2026-11', null],
    ['Rind2026-november', 'password_contains_app_name'],
  ])('%s: %s', async (password, code) => {
    const refused = { code: 'validation_failed', faults: [expect.objectContaining({ code })] };
    if (code) await expect(hash(password)).rejects.toMatchObject(refused);
    else await expect(hash(password)).resolves.toMatch(/^\$argon2id\$/);
  });

  test('a short address counts only as a word', async () => {
    await expect(hash('bob the builder', 'bob@example.com')).rejects.toMatchObject({
      faults: [{ code: 'password_contains_email' }],
    });
    await hash('bobsleigh at night', 'bob@example.com');
    await hash('a word and another', 'a.b@example.com');
  });

  test.each([
    'correct horse battery',
    'correct horse',
    'grinding wheels',
    'Grüße aus Köln',
    'パスワードを忘れないでください',
    '7391-5520-8846',
    'man 7391-5520-88',
    'k7#Qx!m2Zp',
    `${'x'.repeat(100)}\0${'y'.repeat(27)}`,
  ])('%j is accepted', async (password) => {
    await expect(hash(password)).resolves.toMatch(/^\$argon2id\$/);
  });
});
