import { ExpectedError } from '../expected-error.ts';

const HEADING = /^## (.+)$/gm;

interface Section {
  title: string;
  /** From its heading on. */
  start: number;
  text: string;
}

function sectionsOf(changelog: string): Section[] {
  const headings = [...changelog.matchAll(HEADING)];
  return headings.map((heading, index) => {
    const end = headings[index + 1]?.index ?? changelog.length;
    const text = changelog.slice(heading.index + heading[0].length, end).trim();
    return { title: heading[1] ?? '', start: heading.index, text };
  });
}

/** The newest version that was released, or null. */
export function lastReleased(changelog: string): string | null {
  const titles = sectionsOf(changelog).map(({ title }) => title);
  return titles.find((title) => /^\d/.test(title))?.split(' ')[0] ?? null;
}

/** Puts what is unreleased under the version, and an empty section above it. */
export function releaseChangelog(changelog: string, version: string, day: string): string {
  const unreleased = sectionsOf(changelog).find(({ title }) => title === 'Unreleased');
  if (!unreleased?.text) throw new ExpectedError('CHANGELOG.md has nothing under "## Unreleased"');
  const { start } = unreleased;
  const rest = changelog.slice(start + '## Unreleased'.length);
  return `${changelog.slice(0, start)}## Unreleased\n\n## ${version} - ${day}${rest}`;
}

/** What changed in a version, without the heading. */
export function notesOf(changelog: string, version: string): string {
  const section = sectionsOf(changelog).find(({ title }) => title.split(' ')[0] === version);
  if (!section) throw new ExpectedError(`CHANGELOG.md does not tell of ${version}`);
  return section.text;
}
