import { readFileSync } from 'node:fs';

/** The text of a page of docs/. */
export function readDocs(page: string): string {
  return readFileSync(new URL(`../../../../docs/${page}`, import.meta.url), 'utf8');
}

/** What stands in the fenced blocks of a language on a page of docs/. */
export function codeBlocks(page: string, language: string): string[] {
  const blocks = readDocs(page).matchAll(new RegExp(`\n\`\`\`${language}\n([^]*?)\n\`\`\``, 'g'));
  return [...blocks].map(([, text]) => text!);
}

/** The first of them that contains `content`. */
export function codeBlock(page: string, language: string, content: string): string {
  const found = codeBlocks(page, language).find((text) => text.includes(content));
  if (found === undefined) throw new Error(`docs/${page} has no ${language} block with ${content}`);
  return found;
}
