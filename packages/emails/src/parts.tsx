import { Button, Link, Text } from '@react-email/components';
import type { ReactNode } from 'react';
import { color, font } from './style.js';

interface Children {
  readonly children: ReactNode;
}

interface Target extends Children {
  readonly href: string;
}

export function Paragraph({ children }: Children) {
  return (
    <Text className="text" style={{ ...font, color: color.text, margin: '0 0 16px' }}>
      {children}
    </Text>
  );
}

/** What the mail asks its reader to do; one in a mail. */
export function Action({ href, children }: Target) {
  return (
    <Button
      href={absolute(href)}
      style={{
        ...font,
        backgroundColor: color.action,
        borderRadius: 6,
        color: color.onAction,
        display: 'inline-block',
        fontWeight: 600,
        margin: '8px 0 24px',
        padding: '12px 20px',
      }}
    >
      {children}
    </Button>
  );
}

/** What most readers need not read, below the rest. */
export function Note({ children }: Children) {
  return (
    <Text
      className="note"
      style={{ ...font, color: color.note, fontSize: 14, lineHeight: '20px', margin: '0 0 8px' }}
    >
      {children}
    </Text>
  );
}

export function TextLink({ href, children }: Target) {
  return (
    <Link
      className="link"
      href={absolute(href)}
      style={{ color: color.link, textDecoration: 'underline' }}
    >
      {children}
    </Link>
  );
}

/** A mail is read far away from any page that a relative link could start from. */
function absolute(href: string): string {
  if (!/^https?:$/.test(URL.parse(href)?.protocol ?? ''))
    throw new TypeError('A link in a mail must be an absolute http address');
  return href;
}
