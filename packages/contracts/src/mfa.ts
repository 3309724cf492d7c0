import { z } from 'zod';
import { Password } from './auth.js';

/** Spaces, dashes and letter case are ignored: people copy codes in many ways. */
export const MfaCode = z.string().trim().min(1).max(64).meta({
  description: 'A code of the authenticator app (6 digits), or a recovery code',
  example: '123456',
});

/** What shows that it is still the user who holds a device that is signed in. */
export const reauthentication = {
  password: Password.optional().meta({
    description: 'Not needed within 10 minutes of the sign-in',
  }),
  code: MfaCode.optional().meta({ description: 'Needed where a second factor is enrolled.' }),
};

export const MfaVerifyBody = z
  .object({ mfaToken: z.string().min(1).max(512), code: MfaCode })
  .meta({ id: 'MfaVerifyBody' });
export type MfaVerifyBody = z.infer<typeof MfaVerifyBody>;

export const EnrolTotpBody = z
  .object({ password: reauthentication.password })
  .meta({ id: 'EnrolTotpBody' });
export type EnrolTotpBody = z.infer<typeof EnrolTotpBody>;

export const TotpEnrolment = z
  .object({
    otpauthUrl: z.string().meta({ description: 'Show it as a QR code' }),
    secret: z.string().meta({
      description: 'In base32, for who cannot scan the QR code and types it instead',
    }),
  })
  .meta({ id: 'TotpEnrolment' });
export type TotpEnrolment = z.infer<typeof TotpEnrolment>;

export const ActivateTotpBody = z
  .object({ code: MfaCode.meta({ description: 'A code of the authenticator app' }) })
  .meta({ id: 'ActivateTotpBody' });
export type ActivateTotpBody = z.infer<typeof ActivateTotpBody>;

export const RemoveTotpBody = EnrolTotpBody.extend({ code: MfaCode }).meta({
  id: 'RemoveTotpBody',
});
export type RemoveTotpBody = z.infer<typeof RemoveTotpBody>;

export const RenewRecoveryCodesBody = z
  .object({ code: MfaCode })
  .meta({ id: 'RenewRecoveryCodesBody' });
export type RenewRecoveryCodesBody = z.infer<typeof RenewRecoveryCodesBody>;

export const RecoveryCodes = z
  .object({
    recoveryCodes: z.array(z.string()).meta({
      description: 'Shown this once. Each of them signs in once, without the authenticator app.',
      example: ['abcd-efgh-2345-wxyz'],
    }),
  })
  .meta({ id: 'RecoveryCodes' });
export type RecoveryCodes = z.infer<typeof RecoveryCodes>;
