import type { Device, Session, SignedInSession } from '@rind/contracts';
import type { ListedSession, SessionRow } from './sessions.repository.js';

export function toSignedInSession(session: SessionRow): SignedInSession {
  return {
    id: session.id,
    createdAt: session.createdAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
    device: deviceOf(session),
  };
}

export function toSession(session: ListedSession, currentId: string): Session {
  return {
    id: session.id,
    device: deviceOf(session),
    ip: session.ip,
    userAgent: session.userAgent,
    createdAt: session.createdAt.toISOString(),
    lastUsedAt: session.lastUsedAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
    current: session.id === currentId,
  };
}

function deviceOf({ deviceId, deviceName, platform, appVersion }: ListedSession): Device | null {
  if (deviceId === null) return null;
  return {
    id: deviceId,
    ...(deviceName !== null && { name: deviceName }),
    ...(platform !== null && { platform }),
    ...(appVersion !== null && { appVersion }),
  };
}
