import type { SignedInSession } from '@rind/contracts';
import type { Session } from '../platform/database/generated/client.js';

export function toSignedInSession(session: Session): SignedInSession {
  const { deviceId, deviceName, platform, appVersion } = session;
  return {
    id: session.id,
    createdAt: session.createdAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
    device:
      (deviceId && {
        id: deviceId,
        ...(deviceName !== null && { name: deviceName }),
        ...(platform !== null && { platform }),
        ...(appVersion !== null && { appVersion }),
      }) ||
      null,
  };
}
