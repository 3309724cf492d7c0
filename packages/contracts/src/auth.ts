import { z } from 'zod';
import { openEnum } from './open-enum.js';
import { line } from './text.js';
import { DisplayName, Language, User } from './users.js';

/** Addresses are compared and stored in lower case. */
export const Email = z
  .string()
  .trim()
  .toLowerCase()
  .pipe(z.email().max(254))
  .meta({ example: 'ada@example.com' });

/**
 * NFKC, so that the same password typed on two keyboards is the same (RFC 8265). The server refuses
 * those that are easily guessed: its list is too large for clients.
 */
export const NewPassword = z.string().normalize('NFKC').min(10).max(128).meta({
  description:
    '10 to 128 characters. Refused with `validation_failed`: common passwords, also with a few signs and digits around them or in place of letters; passwords that contain the part of the email address before the @, or the word "rind".',
  example: 'correct horse battery',
});

/** Lengths are not checked on sign-in: rules for new passwords may have changed since it was set. */
export const Password = z.string().normalize('NFKC').min(1).max(1024);

/** For whichever service the server asks, if it asks one. */
export const CaptchaToken = z.string().min(1).max(4096);

export const Device = z
  .object({
    id: z.uuid().meta({
      description:
        'A UUID that the installation made for itself. Signing in again with it replaces the session of that device.',
    }),
    name: line(100).optional().meta({ example: 'Pixel 9' }),
    platform: line(50).optional().meta({ example: 'android' }),
    appVersion: line(50).optional().meta({ example: '1.4.0' }),
  })
  .meta({ id: 'Device' });
export type Device = z.infer<typeof Device>;

export const RegisterBody = z
  .object({
    email: Email,
    password: NewPassword,
    displayName: DisplayName,
    language: Language.optional(),
    device: Device.optional(),
    captchaToken: CaptchaToken.optional(),
  })
  .meta({ id: 'RegisterBody' });
export type RegisterBody = z.infer<typeof RegisterBody>;

export const LoginBody = z
  .object({ email: Email, password: Password, device: Device.optional() })
  .meta({ id: 'LoginBody' });
export type LoginBody = z.infer<typeof LoginBody>;

export const RefreshBody = z
  .object({
    refreshToken: z.string().min(1).max(512).optional().meta({
      description: 'Left out when tokens travel in cookies',
    }),
  })
  .optional()
  .meta({ id: 'RefreshBody' });
export type RefreshBody = z.infer<typeof RefreshBody>;

export const SignedInSession = z
  .object({
    id: z.uuid(),
    createdAt: z.iso.datetime(),
    expiresAt: z.iso.datetime().meta({
      description: 'When the sign-in ends unless it is refreshed before',
    }),
    device: Device.nullable(),
  })
  .meta({ id: 'SignedInSession' });
export type SignedInSession = z.infer<typeof SignedInSession>;

export const AuthResult = z
  .object({
    user: User,
    session: SignedInSession,
    accessToken: z.string().optional().meta({
      description: 'Send as `Authorization: Bearer`. Absent when tokens travel in cookies.',
    }),
    accessTokenExpiresAt: z.iso.datetime(),
    refreshToken: z.string().optional().meta({
      description:
        'Store durably before the access token is used. Absent when tokens travel in cookies.',
    }),
  })
  .meta({ id: 'AuthResult' });
export type AuthResult = z.infer<typeof AuthResult>;

/** The password was right, and the account asks for a second factor before it gives out tokens. */
export const MfaRequired = z
  .object({
    mfaRequired: z.literal(true),
    mfaToken: z.string().meta({
      description: 'For `POST /auth/mfa/verify`, within 5 minutes and for at most 5 codes',
    }),
    methods: z.array(openEnum(['totp', 'recovery_code'])),
  })
  .meta({ id: 'MfaRequired' });
export type MfaRequired = z.infer<typeof MfaRequired>;

export const LoginResult = z.union([AuthResult, MfaRequired]).meta({ id: 'LoginResult' });
export type LoginResult = z.infer<typeof LoginResult>;

/** The same answer whether or not the address is registered. */
export const VerificationRequired = z
  .object({ verificationRequired: z.literal(true) })
  .meta({ id: 'VerificationRequired' });
export type VerificationRequired = z.infer<typeof VerificationRequired>;
