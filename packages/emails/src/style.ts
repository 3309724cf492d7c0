export const font = {
  fontFamily: "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif",
  fontSize: 16,
  lineHeight: '24px',
} as const;

/** Stand inline, for clients that read no style sheet. */
export const color = {
  page: '#f4f4f5',
  card: '#ffffff',
  text: '#18181b',
  note: '#52525b',
  link: '#1d4ed8',
  action: '#2563eb',
  onAction: '#ffffff',
} as const;

/**
 * Clients that know of dark mode take these colours; others invert the inline ones by themselves,
 * which they survive, as nothing here is a picture.
 */
export const darkStyleSheet = `
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (prefers-color-scheme: dark) {
  .page, .page > table > tbody > tr > td { background-color: #18181b !important; }
  .card { background-color: #27272a !important; }
  .text { color: #f4f4f5 !important; }
  .note { color: #d4d4d8 !important; }
  .link { color: #93c5fd !important; }
}`;
