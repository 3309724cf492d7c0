import { z } from 'zod';
import { CaptchaToken, Email, NewPassword } from './auth.js';
import { reauthentication } from './mfa.js';

/** As it stood in the link of a mail. */
const MailToken = z.string().min(1).max(512);

/** Asks for a mail. The answer is the same whether or not the address is registered. */
export const RequestMailBody = z
  .object({ email: Email, captchaToken: CaptchaToken.optional() })
  .meta({ id: 'RequestMailBody' });
export type RequestMailBody = z.infer<typeof RequestMailBody>;

export const MailTokenBody = z.object({ token: MailToken }).meta({ id: 'MailTokenBody' });
export type MailTokenBody = z.infer<typeof MailTokenBody>;

export const ResetPasswordBody = z
  .object({ token: MailToken, password: NewPassword })
  .meta({ id: 'ResetPasswordBody' });
export type ResetPasswordBody = z.infer<typeof ResetPasswordBody>;

export const ChangePasswordBody = z
  .object({
    currentPassword: reauthentication.password,
    newPassword: NewPassword,
    code: reauthentication.code,
  })
  .meta({ id: 'ChangePasswordBody' });
export type ChangePasswordBody = z.infer<typeof ChangePasswordBody>;

export const ChangeEmailBody = z
  .object({ email: Email, ...reauthentication })
  .meta({ id: 'ChangeEmailBody' });
export type ChangeEmailBody = z.infer<typeof ChangeEmailBody>;
