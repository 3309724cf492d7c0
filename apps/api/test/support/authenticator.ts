import type { RecoveryCodes, TotpEnrolment } from '@rind/contracts';
import { TOTP, URI } from 'otpauth';
import type { Account, TestApp } from './test-app.js';

/** An authenticator app that knows one account. */
export class Authenticator {
  private constructor(
    private readonly rind: TestApp,
    private readonly userId: string,
    private readonly app: TOTP,
    readonly enrolment: TotpEnrolment,
    readonly recoveryCodes: readonly string[],
  ) {}

  /** Verifies the address behind the API's back and enrols the account. */
  static async enrol(rind: TestApp, account: Account): Promise<Authenticator> {
    await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [account.id]);
    const token = account.accessToken;
    const { body: enrolment } = await rind.request<TotpEnrolment>('POST', '/auth/mfa/totp', {
      token,
      body: {},
    });
    const app = appOf(enrolment);
    const { body } = await rind.request<RecoveryCodes>('POST', '/auth/mfa/totp/activate', {
      token,
      body: { code: app.generate() },
    });
    return new Authenticator(rind, account.id, app, enrolment, body.recoveryCodes);
  }

  /** The code of this moment, fit for use although one of it was used before: tests wait for no clock. */
  async freshCode(): Promise<string> {
    await this.rind.sql.query('UPDATE totp_factors SET last_used_step = NULL WHERE user_id = $1', [
      this.userId,
    ]);
    return this.app.generate();
  }

  /** A code of 6 digits that is right at no time around now. */
  wrongCode(): string {
    const now = Date.now();
    const right = [-2, -1, 0, 1, 2, 3].map((steps) =>
      this.app.generate({ timestamp: now + steps * 30_000 }),
    );
    return ['111111', '222222', '333333', '444444', '555555', '666666', '777777'].find(
      (code) => !right.includes(code),
    )!;
  }
}

/** What an app makes of the QR code. */
export function appOf({ otpauthUrl }: TotpEnrolment): TOTP {
  return URI.parse(otpauthUrl) as TOTP;
}
