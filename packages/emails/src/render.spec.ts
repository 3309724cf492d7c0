import { describe, expect, test } from '@jest/globals';
import { pretty } from '@react-email/components';
import { Language } from '@rind/contracts';
import { examples } from './examples.js';
import { type MailKind, mailKinds } from './mail-kinds.js';
import type { MailProps } from './mails.js';
import { render, type RenderedMail } from './render.js';
import type { Template } from './template.js';

const every = mailKinds.flatMap((kind) =>
  Language.options.map((language) => ({ kind, language, name: `${kind}.${language}` })),
);

const renderExample = (kind: MailKind, language: Language): Promise<RenderedMail> =>
  render({ kind, language, props: examples(language)[kind] as MailProps<typeof kind> });

const notification = (props: Partial<MailProps<'notification'>>) =>
  render({
    kind: 'notification',
    language: 'en',
    props: { ...examples('en').notification, ...props },
  });

/** Of a document, in the order in which they stand there. */
const attributes = (html: string, name: string): string[] =>
  [...html.matchAll(new RegExp(`\\s${name}="([^"]*)"`, 'g'))].map((match) => match[1] ?? '');

describe('Every mail', () => {
  test.each(every)('says what was agreed: $name', async ({ kind, language }) => {
    const { subject, text } = await renderExample(kind, language);
    expect(`${subject}\n\n${text}`).toMatchSnapshot();
  });

  test.each(mailKinds)('looks as agreed: %s', async (kind) => {
    const { html } = await renderExample(kind, 'en');
    // Invisible characters that fill the line beside the subject.
    expect(await pretty(html.replace(/[\u00a0\u200b-\u200f\ufeff]+/g, ''))).toMatchSnapshot();
  });

  test.each(every)('is made of the same bytes each time: $name', async ({ kind, language }) => {
    const first = await renderExample(kind, language);
    expect(await renderExample(kind, language)).toEqual(first);
  });

  test.each(every)('links to absolute addresses and fetches nothing: $name', async (mail) => {
    const { html } = await renderExample(mail.kind, mail.language);
    for (const href of attributes(html, 'href')) expect(href).toMatch(/^https:\/\/[\w.]+\//);
    expect(html).not.toMatch(/<(img|link|script|iframe|object|video)\b|url\(|@import|\ssrc=/i);
  });

  test.each(every)('holds all its links in both parts: $name', async ({ kind, language }) => {
    const { html, text } = await renderExample(kind, language);
    const links = Object.values(examples(language)[kind]).filter((value) => URL.canParse(value));
    expect(attributes(html, 'href')).toEqual(links);
    for (const link of links) expect(text).toContain(link);
  });

  test.each(every)('is written in its language, and can be dark: $name', async (mail) => {
    const { html } = await renderExample(mail.kind, mail.language);
    expect(html).toContain(`lang="${mail.language}"`);
    expect(html).toContain('<meta name="color-scheme" content="light dark"/>');
    expect(html).toMatch(/\.page > table .*background-color: #18181b !important/);
  });
});

describe('What somebody typed', () => {
  const hostile = `<img src=x onerror=alert(1)>"'&</title></style><a href="https://evil.example">x</a>\u0000<!--`;

  test('stays text, and makes no element, attribute or address of its own', async () => {
    const { html, text } = await notification({ title: hostile, body: hostile });
    const harmless = await notification({ title: 'Title', body: 'Body' });
    const elements = (document: string) => document.match(/<[!/a-z][^>\s]*/gi);
    expect(elements(html)).toEqual(elements(harmless.html));
    expect(attributes(html, 'href')).toEqual(attributes(harmless.html, 'href'));
    expect(text).toContain('<img src=x onerror=alert(1)>');
  });

  test('breaks no line of a header', async () => {
    const { subject } = await notification({ title: 'Hello\r\nBcc: all@example.com\u0000\t!' });
    expect(subject).toBe('Hello Bcc: all@example.com !');
  });

  test.each(['javascript:alert(1)', '/relative', 'data:text/html,x', '', '//example.com'])(
    'is no link unless it is an absolute address: %j',
    async (link) => {
      await expect(notification({ link })).rejects.toThrow(TypeError);
      await expect(notification({ unsubscribeLink: link })).rejects.toThrow(TypeError);
    },
  );

  test('may be long', async () => {
    const body = 'ä'.repeat(100_000);
    expect((await notification({ body })).text).toContain(body);
  });
});

test('A kind that lacks a language or a property does not compile', async () => {
  const english = () => ({ subject: 'Hello', intro: 'Hello' });
  // @ts-expect-error There is no German.
  const template: Template<object> = { en: english };
  expect(template).not.toHaveProperty('de');
  const props = { link: 'https://x.example/' };
  // @ts-expect-error Who did not ask for the account could not remove it.
  const rendering = render<'verify_email'>({ kind: 'verify_email', language: 'en', props });
  await expect(rendering).rejects.toThrow();
});
