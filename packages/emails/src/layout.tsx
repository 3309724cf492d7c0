import { Body, Container, Head, Heading, Html, Preview, Section } from '@react-email/components';
import type { Language } from '@rind/contracts';
import { Paragraph } from './parts.js';
import { color, darkStyleSheet, font } from './style.js';
import type { MailContent } from './template.js';

/** What all mails have in common. Nothing in it is fetched: no picture, no font, no style sheet. */
export function Layout({ language, content }: { language: Language; content: MailContent }) {
  const { subject, intro, body } = content;
  return (
    <Html lang={language}>
      <Head>
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="supported-color-schemes" content="light dark" />
        <title>{subject}</title>
        <style>{darkStyleSheet}</style>
      </Head>
      <Body className="page" style={{ backgroundColor: color.page, margin: 0 }}>
        <Preview>{intro}</Preview>
        <Container className="page" style={{ backgroundColor: color.page, padding: '24px 12px' }}>
          <Section
            className="card"
            style={{ backgroundColor: color.card, borderRadius: 8, padding: '32px 28px 24px' }}
          >
            {/* In the text part it would repeat the subject above it. */}
            <Heading
              data-skip-in-text
              className="text"
              style={{
                ...font,
                color: color.text,
                fontSize: 22,
                lineHeight: '30px',
                margin: '0 0 16px',
              }}
            >
              {subject}
            </Heading>
            <Paragraph>{intro}</Paragraph>
            {body}
          </Section>
        </Container>
      </Body>
    </Html>
  );
}
