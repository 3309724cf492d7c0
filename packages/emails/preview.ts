// Writes every mail in every language, light and dark, and its text part to a folder, with a page that shows all of
// them. With --screenshots <folder>, Chromium takes a picture of each kind in English.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';

import type * as Examples from './src/examples.ts';
import type * as Emails from './src/index.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const CHROMIUM = '/usr/bin/chromium';
const languages = ['en', 'de'] as const;
const schemes = ['light', 'dark'] as const;
type Scheme = (typeof schemes)[number];

interface Preview {
  readonly kind: string;
  readonly language: (typeof languages)[number];
  readonly subject: string;
  readonly text: string;
  readonly html: Readonly<Record<Scheme, string>>;
}

// Static imports would make the type check depend on a build.
const load = (name: string): Promise<unknown> =>
  import(new URL(`./dist/${name}.js`, import.meta.url).href);
const { renderMail } = (await load('index')) as typeof Emails;
const { examples } = (await load('examples')) as typeof Examples;

/** As it looks whatever the viewer prefers. */
function force(scheme: Scheme, html: string): string {
  return html
    .replaceAll('(prefers-color-scheme: dark)', scheme === 'dark' ? 'all' : 'not all')
    .replaceAll('light dark', scheme);
}

async function renderAll(): Promise<Preview[]> {
  const previews = languages.flatMap((language) =>
    Object.entries(examples(language)).map(async ([kind, props]): Promise<Preview> => {
      const mail = await renderMail(kind as Emails.MailKind, language, props as never);
      const html = { light: force('light', mail.html), dark: force('dark', mail.html) };
      return { kind, language, subject: mail.subject, text: mail.text, html };
    }),
  );
  return Promise.all(previews);
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

const frame = (html: string, size: string): string =>
  `<iframe srcdoc="${escape(html)}" style="border:0;${size}"></iframe>`;

function indexOf(previews: readonly Preview[]): string {
  const sections = previews.map(({ kind, language, subject, text, html }) => {
    const frames = schemes.map((scheme) => frame(html[scheme], 'width:32%;height:420px'));
    return `<h2>${kind}, ${language}: ${escape(subject)}</h2>
${frames.join('\n')}
<pre style="display:inline-block;width:32%;white-space:pre-wrap;vertical-align:top">${escape(text)}</pre>`;
  });
  return `<!doctype html><meta charset="utf-8"><title>Mails</title>\n${sections.join('\n')}\n`;
}

async function writePreviews(folder: string, previews: readonly Preview[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = (name: string, content: string) => writeFile(path.join(folder, name), content);
  for (const { kind, language, text, html } of previews) {
    await write(`${kind}.${language}.txt`, text);
    for (const scheme of schemes) await write(`${kind}.${language}.${scheme}.html`, html[scheme]);
  }
  await write('index.html', indexOf(previews));
}

/** Light and dark beside each other, as small as the mail allows. */
async function takeScreenshots(folder: string, previews: readonly Preview[]): Promise<void> {
  const { chromium } = await import('playwright-core');
  await mkdir(folder, { recursive: true });
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    for (const { kind, html } of previews.filter(({ language }) => language === 'en')) {
      await page.setViewportSize({ width: 440, height: 100 });
      await page.setContent(html.light);
      const height = await page.evaluate('document.documentElement.scrollHeight');
      const frames = schemes.map((scheme) =>
        frame(html[scheme], `float:left;width:440px;height:${Number(height)}px`),
      );
      await page.setViewportSize({ width: 880, height: Number(height) });
      await page.setContent(`<body style="margin:0">${frames.join('')}`, { waitUntil: 'load' });
      await page.screenshot({ path: path.join(folder, `${kind}.png`) });
    }
  } finally {
    await browser.close();
  }
}

const { values, positionals } = parseArgs({
  options: { screenshots: { type: 'string' } },
  allowPositionals: true,
});
const previews = await renderAll();
const folder = path.resolve(ROOT, positionals[0] ?? '.data/emails');
await writePreviews(folder, previews);
console.log(`${previews.length} mails: open ${path.join(folder, 'index.html')}`);
if (values.screenshots !== undefined) {
  await takeScreenshots(path.resolve(ROOT, values.screenshots), previews);
}
