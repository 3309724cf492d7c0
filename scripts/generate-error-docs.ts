// Renders docs/errors.md from the error codes of the contracts.
import { errorCodes } from '../packages/contracts/src/errors.ts';
import { writeOrCheck } from './generated-file.ts';

const introduction = `# Error codes

<!-- Generated from packages/contracts/src/errors.ts by "pnpm errors:docs". Edit the codes there. -->

Every error answer is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with the content type
\`application/problem+json\`. Its \`code\` is stable: decide by it, never by \`title\` or \`detail\`. A failed validation
also lists \`errors\`, each with a JSON pointer into the request. \`requestId\` finds the request in the server's log.
`;

const sections = Object.entries(errorCodes)
  .toSorted(([a], [b]) => (a < b ? -1 : 1))
  .map(
    ([code, { status, title, meaning, action }]) => `## ${code}

**${status}** ${title}

${meaning}

What a client does: ${action}
`,
  );

await writeOrCheck('docs/errors.md', [introduction, ...sections].join('\n'), 'pnpm errors:docs');
