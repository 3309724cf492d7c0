/** What a problem code means, and what a client should do about it. `docs/errors.md` is generated from this table. */
export interface ErrorDefinition {
  /** HTTP status of the answer. */
  readonly status: number;
  /** Short summary, the same for every occurrence (RFC 9457 `title`). */
  readonly title: string;
  readonly meaning: string;
  readonly action: string;
}

export const errorCodes = {
  malformed_request: {
    status: 400,
    title: 'Malformed request',
    meaning:
      'The request could not be read: its body is not valid JSON, is not whole or has a key `__proto__`, or a part of it is not valid HTTP.',
    action: 'Fix the client. Repeating the request will not help.',
  },
  oauth_flow_invalid: {
    status: 400,
    title: 'Sign-in at the provider not recognised',
    meaning:
      'A browser came back from a provider, but this server did not send it there, or more than 10 minutes ago, or it came back before.',
    action: 'Let the user start again. The browser must accept cookies.',
  },
  unauthenticated: {
    status: 401,
    title: 'Authentication required',
    meaning: 'The request carries no access token, or one that is not valid.',
    action: 'Sign in, or send the access token as `Authorization: Bearer <token>`.',
  },
  access_token_expired: {
    status: 401,
    title: 'Access token expired',
    meaning: 'The access token was valid once, and its time is over.',
    action: 'Call `POST /auth/refresh`, store the new tokens, and repeat the request once.',
  },
  session_ended: {
    status: 401,
    title: 'Session ended',
    meaning: 'The session of this token was ended, or its account was deactivated or deleted.',
    action: 'Ask the user to sign in again. Keep local data that has not been synced.',
  },
  invalid_credentials: {
    status: 401,
    title: 'Invalid credentials',
    meaning:
      'The address is not registered, or the password is wrong; the answer does not tell which.',
    action: 'Let the user try again.',
  },
  oauth_code_invalid: {
    status: 401,
    title: 'Code invalid',
    meaning:
      'The code is unknown, older than 60 seconds or used already, or `codeVerifier` does not belong to it.',
    action: 'Let the user sign in again.',
  },
  oauth_token_invalid: {
    status: 401,
    title: 'Token of the provider invalid',
    meaning:
      "The provider's token is not genuine, has expired, is for another app, or does not carry the nonce.",
    action: 'Sign in at the provider again, with a new nonce.',
  },
  mfa_token_invalid: {
    status: 401,
    title: 'Second factor too late',
    meaning:
      'The `mfaToken` is unknown, older than 5 minutes, used, was tried with 5 wrong codes, or is void because of a change to the account.',
    action: 'Let the user sign in again from the start.',
  },
  refresh_token_invalid: {
    status: 401,
    title: 'Refresh token invalid',
    meaning: 'The refresh token is unknown, its session has ended, or it is past its lifetime.',
    action: 'Ask the user to sign in again. Keep local data that has not been synced.',
  },
  refresh_token_reused: {
    status: 401,
    title: 'Refresh token reused',
    meaning:
      'An old refresh token was presented although its successor was already in use: somebody else may hold a copy. The session was ended.',
    action: 'Ask the user to sign in again. Keep local data that has not been synced.',
  },
  reauthentication_required: {
    status: 403,
    title: 'Reauthentication required',
    meaning: 'This needs the password, or a sign-in of the last 10 minutes.',
    action: 'Ask for the password and repeat the request with it, or let the user sign in again.',
  },
  reauthentication_failed: {
    status: 403,
    title: 'Reauthentication failed',
    meaning: 'The password that came with the request is wrong, or the account has none.',
    action: 'Let the user try again. The session goes on.',
  },
  oauth_denied: {
    status: 403,
    title: 'Sign-in declined',
    meaning: 'The user declined at the provider. Comes as `error` in the return address.',
    action: 'Offer the ways to sign in again.',
  },
  oauth_email_missing: {
    status: 403,
    title: 'No address from the provider',
    meaning: 'The provider gave no e-mail address, and an account needs one.',
    action: 'Ask the user to share the address, or offer another way to sign in.',
  },
  mfa_code_required: {
    status: 403,
    title: 'Code of the second factor required',
    meaning: 'The account has a second factor, and this needs a code of it.',
    action: 'Ask for a code and repeat the request with it as `code`.',
  },
  mfa_code_invalid: {
    status: 403,
    title: 'Code of the second factor invalid',
    meaning: 'The code is wrong, too old, or was used before.',
    action: 'Let the user try again, with the next code of the authenticator app.',
  },
  email_not_verified: {
    status: 403,
    title: 'Email not verified',
    meaning: 'The address of the account has to be verified first.',
    action:
      'Tell the user to follow the link in the mail; offer to send it again with `POST /auth/email/resend`.',
  },
  account_deactivated: {
    status: 403,
    title: 'Account deactivated',
    meaning: 'The password is right, but an administrator deactivated the account.',
    action: 'Tell the user to contact the administrator.',
  },
  cross_origin_refused: {
    status: 403,
    title: 'Cross-origin request refused',
    meaning:
      'A page of another origin tried to change something with the cookies of a signed-in user.',
    action:
      'Add the origin of your app to `CORS_ORIGINS`, or send the token as `Authorization: Bearer <token>`.',
  },
  forbidden: {
    status: 403,
    title: 'Forbidden',
    meaning: 'The caller is signed in, and lacks the role that this needs.',
    action: 'Ask an administrator, who can give it.',
  },
  registration_disabled: {
    status: 403,
    title: 'Registration disabled',
    meaning: 'This server creates no accounts on request (`REGISTRATION_ENABLED=false`).',
    action: 'Offer sign-in only.',
  },
  captcha_failed: {
    status: 403,
    title: 'Captcha failed',
    meaning: 'The server asks for a captcha here, and `captchaToken` is missing or does not pass.',
    action: 'Let the user solve the captcha and repeat the request with its token.',
  },
  not_found: {
    status: 404,
    title: 'Not found',
    meaning: 'There is no such route or resource, or the caller may not see it.',
    action: 'Check the address.',
  },
  email_already_used: {
    status: 409,
    title: 'Email already used',
    meaning: 'An account with this address exists.',
    action: 'Offer to sign in instead.',
  },
  oauth_email_unverified: {
    status: 409,
    title: 'Address not verified by the provider',
    meaning:
      'An account with this address exists, and the provider does not say that it verified the address.',
    action: 'Let the user sign in to that account the way they did before.',
  },
  identity_already_linked: {
    status: 409,
    title: 'Linked to another account',
    meaning: 'The account at the provider signs somebody in already, to another account here.',
    action:
      'Let the user sign in with it and unlink it there, or choose another account at the provider.',
  },
  last_sign_in_method: {
    status: 409,
    title: 'Last way to sign in',
    meaning: 'Without this identity nobody could sign in to the account any more.',
    action: 'Set a password first, or link another identity.',
  },
  last_admin: {
    status: 409,
    title: 'Last administrator',
    meaning: 'Nobody would be left who may administer this server. Nothing was changed.',
    action: 'Give the role `admin` to somebody else first.',
  },
  mfa_already_enrolled: {
    status: 409,
    title: 'Second factor already enrolled',
    meaning: 'The account has an authenticator app already.',
    action: 'Remove the old one first, which takes one of its codes or a recovery code.',
  },
  job_not_failed: {
    status: 409,
    title: 'Job has not failed',
    meaning: 'The job waits for its next attempt, or is being done right now.',
    action: 'List the failed jobs again; this one needs nothing.',
  },
  sync_conflict: {
    status: 409,
    title: 'Sync conflict',
    meaning:
      'Records of the push were changed on the server after `lastPulledAt`, or the cursor is not one of this database. Nothing was applied. `errors` names the records.',
    action: 'Pull, let WatermelonDB merge, and push again: run `synchronize()` once more.',
  },
  request_timeout: {
    status: 408,
    title: 'Request timeout',
    meaning: 'The request did not arrive in time: it stopped on its way, or came too slowly.',
    action: 'Repeat it on a new connection; on a slow one, send less at once.',
  },
  headers_too_large: {
    status: 431,
    title: 'Request header fields too large',
    meaning: 'The header fields of the request are larger than this server reads.',
    action: 'Fix the client. A browser may have to delete cookies.',
  },
  payload_too_large: {
    status: 413,
    title: 'Payload too large',
    meaning: 'The body is larger than the route accepts, before or after it is unpacked.',
    action: 'Send less at once.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'Unsupported media type',
    meaning:
      'The body is not declared as `application/json`, or its `Content-Encoding` is one that the route does not accept; then the `Accept-Encoding` header of the answer names what it does.',
    action: 'Send JSON with `Content-Type: application/json`, packed only where that is accepted.',
  },
  validation_failed: {
    status: 422,
    title: 'Validation failed',
    meaning: 'The request was understood, but breaks the schema. `errors` points at each fault.',
    action: 'Show the messages beside the fields, or fix the client.',
  },
  identity_unproven: {
    status: 422,
    title: 'Account at the provider not shown',
    meaning:
      'The code or the token of the provider is unknown, has expired, was used already or is for another app, or `codeVerifier` or `nonce` does not belong to it. The session goes on.',
    action: 'Let the user go to the provider again.',
  },
  mail_token_invalid: {
    status: 422,
    title: 'Mail token invalid',
    meaning:
      'The token of a mail is unknown, was used, has expired, or was replaced by a newer mail or by a change of password or address.',
    action: 'Offer to send a new mail.',
  },
  invalid_cursor: {
    status: 422,
    title: 'Invalid cursor',
    meaning:
      '`lastPulledAt` is not a non-negative integer, or stands in the request more than once.',
    action: 'Send the `timestamp` of the last pull unchanged, or nothing on a first sync.',
  },
  sync_content_refused: {
    status: 422,
    title: 'Sync content refused',
    meaning:
      'With `SYNC_STRICT=true` a push whose records would be repaired or left out is refused as a whole. `errors` points at each fault.',
    action: 'Fix the app. With `SYNC_STRICT=false` the same push is repaired and accepted.',
  },
  return_url_not_allowed: {
    status: 422,
    title: 'Return address not allowed',
    meaning: '`returnTo` is not one of the addresses that the server is configured with.',
    action: 'Use one of `OAUTH_RETURN_URLS`, letter for letter.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    meaning:
      'A rate limit was reached: the one that the `RateLimit` headers show, or one of the account or session that they do not.',
    action: 'Wait for the number of seconds in `Retry-After`, then repeat.',
  },
  too_many_connections: {
    status: 429,
    title: 'Too many connections',
    meaning: 'The user has as many sockets on this server as one user may have.',
    action: 'Keep one socket for each device. Close the others, then connect again.',
  },
  internal_error: {
    status: 500,
    title: 'Internal error',
    meaning:
      'The server failed in a way it did not foresee. The cause is in its log under `requestId`.',
    action: 'Repeat later; if it persists, report the `requestId`.',
  },
  oauth_failed: {
    status: 502,
    title: 'Provider failed',
    meaning:
      'The provider could not be reached, or answered with something other than a sign-in. The cause is in the log.',
    action: 'Let the user try again later.',
  },
  service_unavailable: {
    status: 503,
    title: 'Service unavailable',
    meaning:
      'The database cannot be reached or is overloaded. Where the answer got lost, the request may have been applied.',
    action:
      'Repeat after the number of seconds in `Retry-After`. Repeating a pull, a push or a refresh is always safe; after a registration, try to sign in.',
  },
} as const satisfies Record<string, ErrorDefinition>;

/** Stable, snake_case; clients may switch on it. */
export type ErrorCode = keyof typeof errorCodes;
