import type { ClientInfo } from '../platform/http/client-info.decorator.js';

/** Where a check for robots stands, in front of registration and of whatever sends mails to strangers. */
export abstract class Captcha {
  abstract isSolved(token: string | undefined, client: ClientInfo): Promise<boolean>;
}

/** No check. */
export class NoCaptcha extends Captcha {
  async isSolved(): Promise<boolean> {
    return true;
  }
}
